#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int number;
    struct list node;
};

// The numbers of the list's items as decimal digits, first item first, read in both directions.
static int digits(struct list *head)
{
    int forward = 0, backward = 0, place = 1;

    list_for_each(node, head) {
        forward = forward * 10 + list_entry(node, struct item, node)->number;
    }
    for (struct list *node = head->prev; node != head; node = node->prev) {
        backward += list_entry(node, struct item, node)->number * place;
        place *= 10;
    }
    assert_int_equal(forward, backward);
    return forward;
}

static void fill(struct list *head, struct item *items, int first, int count)
{
    list_init(head);
    for (int i = 0; i < count; i++) {
        items[i].number = first + i;
        list_init(&items[i].node);
        list_append(head, &items[i].node);
    }
}

static void test_append_keeps_order(void **state)
{
    struct list head;
    struct item items[3];

    list_init(&head);
    assert_true(list_empty(&head));
    fill(&head, items, 1, 3);
    assert_false(list_empty(&head));
    assert_int_equal(digits(&head), 123);
    assert_ptr_equal(list_first(&head, struct item, node), &items[0]);
}

static void test_remove_anywhere_and_again(void **state)
{
    struct list head;
    struct item items[4];

    fill(&head, items, 1, 4);
    list_remove(&items[1].node);
    assert_int_equal(digits(&head), 134);
    assert_false(list_linked(&items[1].node));
    list_remove(&items[1].node);
    assert_int_equal(digits(&head), 134);
    list_remove(&items[0].node);
    list_remove(&items[3].node);
    assert_int_equal(digits(&head), 3);
    assert_true(list_linked(&items[2].node));
    list_remove(&items[2].node);
    assert_true(list_empty(&head));
}

static void test_pop_takes_the_first(void **state)
{
    struct list head;
    struct item items[2];

    fill(&head, items, 1, 2);
    assert_ptr_equal(list_pop(&head), &items[0].node);
    assert_false(list_linked(&items[0].node));
    assert_ptr_equal(list_pop(&head), &items[1].node);
    assert_null(list_pop(&head));
    assert_true(list_empty(&head));
}

static void test_splice(void **state)
{
    struct list a, b;
    struct item in_a[2], in_b[2];

    fill(&a, in_a, 1, 2);
    fill(&b, in_b, 3, 2);
    list_splice(&a, &b);
    assert_int_equal(digits(&a), 1234);
    assert_true(list_empty(&b));
    list_splice(&a, &b); // nothing
    assert_int_equal(digits(&a), 1234);
    list_splice(&b, &a); // into an empty one
    assert_int_equal(digits(&b), 1234);
    assert_true(list_empty(&a));
}

static void test_current_node_may_be_removed_in_a_walk(void **state)
{
    struct list head;
    struct item items[5];
    int visited = 0;

    fill(&head, items, 1, 5);
    list_for_each(node, &head) {
        struct item *item = list_entry(node, struct item, node);

        visited++;
        if (item->number % 2)
            list_remove(&item->node);
    }
    assert_int_equal(visited, 5);
    assert_int_equal(digits(&head), 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_keeps_order),
        cmocka_unit_test(test_remove_anywhere_and_again),
        cmocka_unit_test(test_pop_takes_the_first),
        cmocka_unit_test(test_splice),
        cmocka_unit_test(test_current_node_may_be_removed_in_a_walk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

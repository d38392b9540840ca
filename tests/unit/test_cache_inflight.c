#include "cache/inflight.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#include "cache_text.h"

static const struct siphash_key secret = {1, 2};

static struct cache_inflight_table *table;

static int set_up(void **state)
{
    table = cache_inflight_new();
    assert_non_null(table);
    return 0;
}

static int tear_down(void **state)
{
    cache_inflight_free(table);
    return 0;
}

// Somebody who asks. All of them differ in nothing but what they ask.
struct asker {
    struct cache_inflight inflight;
    struct cache_key key;
    _Atomic unsigned answered; // how often
};

static bool join(struct asker *asker, const char *question, unsigned how)
{
    memset(&asker->inflight, 0xa5, sizeof(asker->inflight)); // need not be made ready
    key_of_text(&asker->key, &secret, question, how);
    return cache_inflight_join(table, &asker->inflight, &asker->key);
}

static struct asker *pop(struct list *followers)
{
    struct list *node = list_pop(followers);

    return node ? container_of(node, struct asker, inflight.node) : NULL;
}

static void test_first_leads_others_follow_in_order(void **state)
{
    struct asker askers[10];
    struct list followers;

    for (unsigned round = 0; round < 3; round++) {
        list_init(&followers);
        for (unsigned i = 0; i < ARRAY_LEN(askers); i++)
            assert_int_equal(join(&askers[i], QUESTION, 0), i == 0);
        cache_inflight_finish(table, &askers[0].inflight, &followers);
        for (unsigned i = 1; i < ARRAY_LEN(askers); i++)
            assert_ptr_equal(pop(&followers), &askers[i]);
        assert_null(pop(&followers));
    }
}

static void test_leader_alone(void **state)
{
    struct asker asker;
    struct list followers;

    list_init(&followers);
    for (unsigned round = 0; round < 3; round++) {
        assert_true(join(&asker, QUESTION, 0));
        cache_inflight_finish(table, &asker.inflight, &followers);
        assert_true(list_empty(&followers));
    }
}

// Those that wait already, for another question, stay in front.
static void test_followers_come_at_the_end(void **state)
{
    struct asker a[2], b[2];
    struct list followers;

    list_init(&followers);
    assert_true(join(&a[0], "{a} 0001 0001", 0));
    assert_false(join(&a[1], "{a} 0001 0001", 0));
    assert_true(join(&b[0], "{b} 0001 0001", 0));
    assert_false(join(&b[1], "{b} 0001 0001", 0));
    cache_inflight_finish(table, &b[0].inflight, &followers);
    cache_inflight_finish(table, &a[0].inflight, &followers);
    assert_ptr_equal(pop(&followers), &b[1]);
    assert_ptr_equal(pop(&followers), &a[1]);
    assert_null(pop(&followers));
}

static void test_letter_case_is_one(void **state)
{
    struct asker askers[2];
    struct list followers;

    list_init(&followers);
    assert_true(join(&askers[0], "{www.example.org} 0001 0001", 0));
    assert_false(join(&askers[1], "{WWW.eXample.ORG} 0001 0001", 0));
    cache_inflight_finish(table, &askers[0].inflight, &followers);
    assert_ptr_equal(pop(&followers), &askers[1]);
}

// Name, type, class, DO, CD and RD: each of them makes another question.
static void test_other_questions_do_not_follow(void **state)
{
    static const char *const questions[] = {
        "{www.example.org} 0001 0001", "{www.example.org} 001c 0001", "{www.example.org} 0001 0003",
        "{example.org} 0001 0001", "{} 0001 0001"};
    enum { COUNT = ARRAY_LEN(questions) * 8 };
    static struct asker leaders[COUNT], others[COUNT];

    for (unsigned i = 0; i < COUNT; i++)
        assert_true(join(&leaders[i], questions[i / 8], i % 8));
    for (unsigned i = 0; i < COUNT; i++)
        assert_false(join(&others[i], questions[i / 8], i % 8));
    // In another order than they came.
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned at = i * 7 % COUNT; // 7 and COUNT have no common divisor
        struct list followers;

        list_init(&followers);
        cache_inflight_finish(table, &leaders[at].inflight, &followers);
        assert_ptr_equal(pop(&followers), &others[at]);
        assert_null(pop(&followers));
    }
}

// Same hash, other question.
static void test_hash_is_not_enough(void **state)
{
    static struct asker askers[50];
    struct list followers;

    list_init(&followers);
    for (unsigned i = 0; i < ARRAY_LEN(askers); i++) {
        char text[50];

        snprintf(text, sizeof(text), "{n%u.test} 0001 0001", i);
        key_of_text(&askers[i].key, &secret, text, 0);
        askers[i].key.hash = 42;
        assert_true(cache_inflight_join(table, &askers[i].inflight, &askers[i].key));
    }
    for (unsigned i = 0; i < ARRAY_LEN(askers); i++)
        cache_inflight_finish(table, &askers[i].inflight, &followers);
    assert_true(list_empty(&followers));
}

// Whoever asks after the end begins anew; the former followers do not know it.
static void test_next_round_while_followers_wait(void **state)
{
    struct asker first[2], second[2];
    struct list followers, later;

    list_init(&followers);
    list_init(&later);
    assert_true(join(&first[0], QUESTION, 0));
    assert_false(join(&first[1], QUESTION, 0));
    cache_inflight_finish(table, &first[0].inflight, &followers);
    assert_true(join(&second[0], QUESTION, 0));
    assert_false(join(&second[1], QUESTION, 0));
    assert_ptr_equal(pop(&followers), &first[1]);
    assert_null(pop(&followers));
    cache_inflight_finish(table, &second[0].inflight, &later);
    assert_ptr_equal(pop(&later), &second[1]);
    assert_null(pop(&later));
}

// ---- Threads

enum { THREADS = 4, ROUNDS = 2000 };

static pthread_barrier_t barrier;
static struct asker round_askers[THREADS];
static struct cache_key round_keys[8];
static _Atomic unsigned leads, follows;

static bool join_key(struct asker *asker, const struct cache_key *key)
{
    cache_key_copy(&asker->key, key);
    return cache_inflight_join(table, &asker->inflight, &asker->key);
}

static void answer_all(struct list *followers)
{
    for (struct asker *asker; (asker = pop(followers));)
        atomic_fetch_add(&asker->answered, 1);
}

static void *ask_together(void *arg)
{
    struct asker *self = arg;
    struct list followers;

    list_init(&followers);
    for (unsigned round = 0; round < ROUNDS; round++) {
        self->answered = 0;
        pthread_barrier_wait(&barrier);

        bool leader = join_key(self, &round_keys[round % 8]);

        pthread_barrier_wait(&barrier); // all have joined
        if (leader) {
            leads++;
            cache_inflight_finish(table, &self->inflight, &followers);
            answer_all(&followers);
        } else {
            follows++;
        }
        pthread_barrier_wait(&barrier);
        require(self->answered == !leader);
    }
    return NULL;
}

static void run_threads(void *(*run)(void *arg))
{
    pthread_t threads[THREADS];

    for (unsigned how = 0; how < ARRAY_LEN(round_keys); how++)
        key_of_text(&round_keys[how], &secret, QUESTION, how);
    pthread_barrier_init(&barrier, NULL, THREADS);
    leads = follows = 0;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, &round_askers[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
}

static void test_one_leader_each_round(void **state)
{
    run_threads(ask_together);
    assert_int_equal(leads, ROUNDS);
    assert_int_equal(follows, ROUNDS * (THREADS - 1));
}

// With no order between them: who comes while the leader finishes either follows and is answered,
// or leads.
static void *ask_at_will(void *arg)
{
    struct asker *self = arg;
    struct list followers;
    struct rng rng = {.state = 1 + (uint64_t)(self - round_askers)};

    list_init(&followers);
    for (unsigned round = 0; round < 10 * ROUNDS; round++) {
        self->answered = 0;
        if (join_key(self, &round_keys[rng_below(&rng, 4) / 3])) {
            leads++;
            if (rng_below(&rng, 2))
                sched_yield();
            cache_inflight_finish(table, &self->inflight, &followers);
            answer_all(&followers);
            require(self->answered == 0);
        } else {
            follows++;
            while (self->answered == 0)
                sched_yield();
            require(self->answered == 1);
        }
    }
    return NULL;
}

static void test_each_is_answered_once(void **state)
{
    run_threads(ask_at_will);
    assert_int_equal(leads + follows, THREADS * 10 * ROUNDS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_first_leads_others_follow_in_order),
        TEST(test_leader_alone),
        TEST(test_followers_come_at_the_end),
        TEST(test_letter_case_is_one),
        TEST(test_other_questions_do_not_follow),
        TEST(test_hash_is_not_enough),
        TEST(test_next_round_while_followers_wait),
        TEST(test_one_leader_each_round),
        TEST(test_each_is_answered_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

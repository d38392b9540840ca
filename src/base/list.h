// Doubly linked intrusive list. A node that is in no list points to itself, so that
// list_remove() may be called on it again.
#pragma once

#include <stdbool.h>

#include "base/compiler.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *node)
{
    node->next = node->prev = node;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

// True when the node is a member of some list.
static inline bool list_linked(const struct list *node)
{
    return node->next != node;
}

// Appends `node`, which is in no list, at the end of the list.
static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

// Removes and returns the first node, or NULL.
static inline struct list *list_pop(struct list *head)
{
    struct list *node = head->next;

    if (node == head)
        return NULL;
    // The analyzer takes a node that the caller freed for the next one.
    list_remove(node); // NOLINT(clang-analyzer-unix.Malloc)
    return node;
}

// Moves all nodes of `from` to the end of `to`; `from` is empty afterwards.
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)

// The first of a list that is not empty.
#define list_first(head, type, member) container_of((head)->next, type, member)

// Walks the list; the current node may be removed or freed meanwhile, its neighbours may not.
#define list_for_each(var, head)                                                                   \
    for (struct list *var = (head)->next, *var##_next = var->next; var != (head);                  \
         var = var##_next, var##_next = var->next)

#include "querylog/postgresql/connector.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "querylog/postgresql/schema.h"

struct postgresql_connector {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done, abandoned; // under the mutex
    struct postgresql_connected connected;
    struct postgresql_parameters parameters; // strings of ours
};

// Limits of a session that writes: what the server ends by itself when we are gone. An idle
// transaction of a connection that was lost would keep the next one waiting for its row.
static const char session[] = "SET statement_timeout = '60s';"
                              "SET lock_timeout = '3s';"
                              "SET idle_in_transaction_session_timeout = '20s';"
                              "SET tcp_keepalives_idle = 10;"
                              "SET tcp_keepalives_interval = 5;"
                              "SET tcp_keepalives_count = 3;"
                              "SET tcp_user_timeout = 10000";

static void connector_free(struct postgresql_connector *connector)
{
    for (size_t i = 0; connector->parameters.keywords[i]; i++) {
        char *value = (char *)connector->parameters.values[i];

        if (!value)
            continue;
        explicit_bzero(value, strlen(value)); // one is a password
        free(value);
    }
    pthread_cond_destroy(&connector->changed);
    pthread_mutex_destroy(&connector->mutex);
    free(connector);
}

static void connect_now(struct postgresql_connector *connector,
                        struct postgresql_connected *connected)
{
    PGconn *conn =
        PQconnectdbParams(connector->parameters.keywords, connector->parameters.values, 0);

    memset(connected, 0, sizeof(*connected));
    if (!conn) {
        postgresql_problem_say(&connected->problem, "%s", error_text(E_NOMEM));
        return;
    }
    if (PQstatus(conn) != CONNECTION_OK) {
        connected->wants_password = PQconnectionNeedsPassword(conn);
        connected->used_password = PQconnectionUsedPassword(conn);
        postgresql_problem_of(conn, NULL, &connected->problem);
    } else if (PQsetnonblocking(conn, 1) != 0) {
        postgresql_problem_of(conn, NULL, &connected->problem);
    } else if (postgresql_do(conn, session, 10 * USEC_SEC, &connected->problem) == E_OK &&
               postgresql_schema_prepare(conn, &connected->problem) == E_OK) {
        connected->conn = conn;
        return;
    }
    PQfinish(conn);
}

static void *run(void *arg)
{
    struct postgresql_connector *connector = arg;
    struct postgresql_connected connected;
    bool abandoned;

    connect_now(connector, &connected);
    pthread_mutex_lock(&connector->mutex);
    connector->connected = connected;
    connector->done = true;
    abandoned = connector->abandoned;
    pthread_cond_signal(&connector->changed);
    pthread_mutex_unlock(&connector->mutex);
    if (abandoned) {
        PQfinish(connected.conn);
        connector_free(connector);
    }
    return NULL;
}

static bool copy_parameters(struct postgresql_parameters *to,
                            const struct postgresql_target *target)
{
    struct postgresql_parameters from;
    bool whole = true;

    postgresql_target_parameters(target, true, &from);
    for (size_t i = 0; from.keywords[i]; i++) {
        to->keywords[i] = from.keywords[i]; // static, or of libpq's table
        to->values[i] = strdup(from.values[i]);
        whole = whole && to->values[i];
    }
    return whole;
}

struct postgresql_connector *postgresql_connector_start(const struct postgresql_target *target)
{
    struct postgresql_connector *connector = calloc(1, sizeof(*connector));
    pthread_condattr_t monotonic;
    sigset_t all, before;
    pthread_t thread;
    int failed;

    if (!connector)
        return NULL;
    pthread_mutex_init(&connector->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&connector->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!copy_parameters(&connector->parameters, target)) {
        connector_free(connector);
        return NULL;
    }
    sigfillset(&all); // signals are for the main thread
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, NULL, run, connector);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        connector_free(connector);
        return NULL;
    }
    pthread_detach(thread);
    return connector;
}

bool postgresql_connector_wait(struct postgresql_connector *connector, usec_t deadline,
                               struct postgresql_connected *connected)
{
    struct timespec until = {
        .tv_sec = (time_t)(deadline / USEC_SEC),
        .tv_nsec = (long)(deadline % USEC_SEC) * 1000,
    };
    bool done;

    pthread_mutex_lock(&connector->mutex);
    while (!connector->done)
        if (pthread_cond_timedwait(&connector->changed, &connector->mutex, &until) != 0)
            break;
    done = connector->done;
    *connected = connector->connected;
    pthread_mutex_unlock(&connector->mutex);
    if (done)
        connector_free(connector);
    return done;
}

void postgresql_connector_abandon(struct postgresql_connector *connector)
{
    bool done;

    if (!connector)
        return;
    pthread_mutex_lock(&connector->mutex);
    done = connector->done;
    connector->abandoned = true;
    pthread_mutex_unlock(&connector->mutex);
    if (done) {
        PQfinish(connector->connected.conn);
        connector_free(connector);
    }
}

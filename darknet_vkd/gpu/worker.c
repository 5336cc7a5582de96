#include "gpu/worker.h"

#include "numerics/parallel.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct vkd_worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void (*job)(void *); // NULL: none
    void *argument;
    int threads;
    bool ends;
};

static void take_threads(int count) {
#ifdef _OPENMP
    omp_set_num_threads(count);
#else
    (void)count;
#endif
}

// One job at a time in the whole program: each is threaded, OpenBLAS runs one threaded product at a time, and
// who waits for his in there spins.
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *work(void *argument) {
    vkd_worker *w = argument;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->job && !w->ends)
            pthread_cond_wait(&w->changed, &w->lock);
        if (!w->job) break;
        void (*job)(void *) = w->job;
        void *of_job = w->argument;
        take_threads(w->threads);
        pthread_mutex_unlock(&w->lock);
        pthread_mutex_lock(&turn);
        job(of_job);
        pthread_mutex_unlock(&turn);
        pthread_mutex_lock(&w->lock);
        w->job = NULL;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

vkd_worker *vkd_worker_create(void) {
    vkd_worker *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    if (!pthread_create(&w->thread, NULL, work, w)) return w;
    // LCOV_EXCL_START no thread can be made
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return NULL;
    // LCOV_EXCL_STOP
}

void vkd_worker_free(vkd_worker *w) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->ends = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void vkd_worker_start(vkd_worker *w, void (*job)(void *), void *argument) {
    pthread_mutex_lock(&w->lock);
    w->job = job;
    w->argument = argument;
    w->threads = vkd_threads();
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

void vkd_worker_wait(vkd_worker *w) {
    pthread_mutex_lock(&w->lock);
    while (w->job)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

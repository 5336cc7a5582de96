// A thread beside the one that trains, for work that nobody waits for at once.
#ifndef VKD_GPU_WORKER_H
#define VKD_GPU_WORKER_H

typedef struct vkd_worker vkd_worker;

vkd_worker *vkd_worker_create(void); // NULL: no thread is to be had
// Waits for its job.
void vkd_worker_free(vkd_worker *worker);

// One job at a time: the last one has been waited for. It runs on as many threads of its own as the caller
// has for its loops.
void vkd_worker_start(vkd_worker *worker, void (*job)(void *), void *argument);
void vkd_worker_wait(vkd_worker *worker);

#endif

// The arrays of the host that a training step on a device copies to it or from it: pictures, and the outputs
// and deltas of heads. Pinned, they are copied at the bus's own speed, without a detour through the driver's
// buffers.
#include "host/plugin.h"

bool vkd_asks_the_host(const layer *l) {
    return l->type == YOLO || l->type == REGION;
}

#ifdef GPU
#include "cuda.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>

// What cannot be pinned is copied as before. An error of a call that may fail must not stay for the next one
// to find.
static void pin(vkd_plugin *plugin, void *x, size_t bytes) {
    if (cudaHostRegister(x, bytes, cudaHostRegisterPortable) == cudaSuccess)
        plugin->pinned[plugin->pinned_count++] = x;
    else
        (void)cudaGetLastError();
}

void vkd_pin(const network *net) {
    vkd_plugin *plugin = vkd_of(net);
    if (!vkd_is_on_device(net) || plugin->pinned) return;
    plugin->pinned = calloc(1 + 2 * (size_t)net->n, sizeof *plugin->pinned);
    if (!plugin->pinned) return;
    cuda_set_device(net->gpu_index);
    const size_t one = (size_t)net->batch * sizeof(float);
    pin(plugin, net->input, (size_t)net->inputs * one);
    for (int i = 1; i < net->n; ++i) {
        const layer *l = &net->layers[i];
        if (!vkd_asks_the_host(l)) continue;
        pin(plugin, l[-1].output, (size_t)l[-1].outputs * one); // where its output is brought to
        pin(plugin, l->delta, (size_t)l->outputs * one);
    }
}

void vkd_unpin(const network *net) {
    vkd_plugin *plugin = vkd_of(net);
    if (!plugin || !plugin->pinned) return;
    cuda_set_device(net->gpu_index);
    check_error(cudaDeviceSynchronize()); // a delta may be on its way
    while (plugin->pinned_count)
        check_error(cudaHostUnregister(plugin->pinned[--plugin->pinned_count]));
    free(plugin->pinned);
    plugin->pinned = NULL;
}
#else
void vkd_pin(const network *net) {
    (void)net;
}

void vkd_unpin(const network *net) {
    (void)net;
}
#endif

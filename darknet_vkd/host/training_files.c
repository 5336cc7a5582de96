#define _POSIX_C_SOURCE 200809L
#include "host/training_files.h"

#include "host/plugin.h"
#include "host/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { backup_batches = 100 };

void vkd_training_folder(const char *path) {
    struct stat info;
    if (mkdir(path, 0777) && errno != EEXIST)
        vkd_fail("%s: the backup folder cannot be made: %s", path, strerror(errno));
    if (stat(path, &info) || !S_ISDIR(info.st_mode))
        vkd_fail("%s: found a file; expected the backup folder", path);
}

static char *name(const vkd_training_files *files, const char *suffix, const char *more) {
    size_t size = strlen(files->folder) + strlen(files->base) + strlen(suffix) + strlen(more) + 2;
    char *path = malloc(size);
    if (!path) vkd_fail("no memory for a checkpoint's name");
    snprintf(path, size, "%s/%s%s%s", files->folder, files->base, suffix, more);
    return path;
}

void vkd_training_save(vkd_training_files *files, const char *suffix) {
    char *path = name(files, suffix, "");
    vkd_log_break(files->log);
    vkd_log_flush(files->log);
    save_weights(files->net, path);
    free(path);
}

// Another name for FROM's bytes: a hard link, which takes no space and no time.
static bool link_anew(const char *from, const char *to) {
    return !(unlink(to) && errno != ENOENT) && !link(from, to);
}

// BASE + from, just written, gets the name BASE + to as well; first its sidecar under a name that waits, then
// the weights, then the sidecar's own name (sidecar.c says why). False: this file system knows no links.
static bool add_name(const vkd_training_files *files, const char *from, const char *to) {
    char *weights = name(files, from, ""), *sidecar = name(files, from, ".vkd");
    char *part = name(files, to, ".part"), *next = name(files, to, ".vkd.next");
    char *new_weights = name(files, to, ""), *new_sidecar = name(files, to, ".vkd");
    bool done = link_anew(sidecar, next) && link_anew(weights, part) && !rename(part, new_weights) &&
                !rename(next, new_sidecar);
    free(weights);
    free(sidecar);
    free(part);
    free(next);
    free(new_weights);
    free(new_sidecar);
    return done;
}

// BASE.backup comes last: a run that is killed before it does all of this again, and one that is killed after
// it has all of it.
void vkd_training_save_when_due(vkd_training_files *files, size_t batch, bool best) {
    static const char last[] = "_last.weights", backup[] = ".backup";
    char suffix[64];
    if (best) vkd_training_save(files, "_best.weights");
    if (batch % 10000 == 0 || (batch < 1000 && batch % 100 == 0)) {
        snprintf(suffix, sizeof suffix, "_%zu.weights", batch);
        vkd_training_save(files, suffix);
    }
    if (batch % backup_batches == 0) {
        vkd_training_save(files, last);
        if (!add_name(files, last, backup)) vkd_training_save(files, backup);
    }
}

bool vkd_training_finish(vkd_training_files *files, const char *weights) {
    char *backup = name(files, ".backup", ""), *final = name(files, "_final.weights", "");
    struct stat own, given;
    bool unfinished = weights && !stat(backup, &own) && !stat(weights, &given) &&
                      own.st_dev == given.st_dev && own.st_ino == given.st_ino && access(final, F_OK);
    free(backup);
    free(final);
    if (unfinished) vkd_training_save(files, "_final.weights");
    return unfinished;
}

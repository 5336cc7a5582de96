# V_kD for Darknet. `make` brings Darknet, applies patches/series, and builds ./darknet with the plugin in it.
#
# The flags are Darknet's, with its meaning: GPU CUDNN OPENCV OPENMP DEBUG (0 or 1).
# Also: MARCH= (empty) builds for any machine of this kind, BUILD= names the folder for everything generated,
# DARKNET_SRC= takes Darknet 61c9d02e from a folder of yours, INSTALL_DEPS=0 never calls the package manager,
# V=1 shows every command. With GPU=1: ARCH="sm_75 sm_86" for other GPUs than this machine's, NVCC= and CUDA=, its
# folder, where they are not on the path.

GPU     ?= 0
CUDNN   ?= 0
OPENCV  ?= 0
OPENMP  ?= 1
DEBUG   ?= 0
BUILD   ?= build
ifeq ($(origin CC), default)
CC      := gcc
endif
AR      ?= ar
NVCC    ?= nvcc
INSTALL_DEPS ?= 1
# 1: addresses, leaks and undefined behaviour; thread: data races. `make asan` and `make tsan` set it.
SANITIZE ?= 0
MARCH   ?= $(shell $(CC) -march=native -E -x c /dev/null >/dev/null 2>&1 && echo native)

# ---- folders --------------------------------------------------------------------------------------------------

# make splits names at blanks and has its own mind about # : and $. So the sources' folder is named nowhere, which may
# have them in its path: everything is relative to it, or to a BUILD elsewhere, which may not.
ifeq ($(wildcard scripts/check_folders.sh),)
$(error run make in the folder of this Makefile, or with -C FOLDER)
endif
FOLDERS := $(shell scripts/check_folders.sh '$(subst ','\'',$(value BUILD))' 2>&1)
ifeq ($(filter build=%,$(firstword $(FOLDERS))),)
$(error $(FOLDERS))
endif
override BUILD := $(patsubst build=%,%,$(word 1,$(FOLDERS)))
VKD_DOWNLOADS ?= $(patsubst downloads=%,%,$(word 2,$(FOLDERS)))
HOST    := $(BUILD)/darknet
PRISTINE := $(if $(DARKNET_SRC),$(BUILD)/source,$(VKD_DOWNLOADS)/darknet)
DARKNET := $(HOST)/darknet
# For programs that do not run in this folder. Between double quotes, in recipes.
AT_BUILD := $(if $(filter /%,$(BUILD)),$(BUILD),$$PWD/$(BUILD))
AT_DARKNET = $(AT_BUILD)/darknet/darknet
# A build of its own within this one.
WITHIN  = $(MAKE) --no-print-directory VKD_DOWNLOADS=$(VKD_DOWNLOADS) BUILD=$(BUILD)

# ---- flags ----------------------------------------------------------------------------------------------------

comma := ,
OPTS := -O3
ifeq ($(DEBUG), 1)
OPTS := -O0 -g
endif
ARCHFLAGS := $(if $(MARCH),-march=$(MARCH))
ifeq ($(SANITIZE), 1)
# A build for the tests: slow, and any finding in our own code ends the program.
SANFLAGS := -fsanitize=address,undefined -fno-omit-frame-pointer
OPTS := -O1 -g
ARCHFLAGS :=
endif
ifeq ($(SANITIZE), fuzz)
# For `make fuzz`, with clang: any finding in Darknet's code ends the program too.
SANFLAGS := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
    -Wno-unknown-warning-option
OPTS := -O1 -g
ARCHFLAGS :=
endif
ifeq ($(SANITIZE), thread)
SANFLAGS := -fsanitize=thread
OPTS := -O1 -g
ARCHFLAGS :=
endif

ifeq ($(SANITIZE), coverage)
# For `make coverage`: the plugin counts how often each line runs.
SANFLAGS := --coverage -fprofile-update=atomic
COVERAGE_LDFLAGS := -Wl,--wrap=_exit
OPTS := -O2 -g
endif

HOSTDEFS :=
ifeq ($(GPU), 1)
CUDA     ?= $(or $(patsubst %/bin/nvcc,%,$(filter %/bin/nvcc,$(realpath $(shell command -v $(NVCC))))),/usr/local/cuda)
NVCC_ARCH := $(shell scripts/gpu_architectures.sh $(NVCC) $(ARCH))
ifeq ($(NVCC_ARCH),)
$(error GPU=1 needs nvcc of CUDA 12 or later ($(NVCC) is none) and architectures that it knows)
endif
HOSTDEFS += -DGPU -isystem $(CUDA)/include
GPULIBS  := -L$(CUDA)/lib64 -Wl,-rpath,$(CUDA)/lib64 -lcudart -lcublas -lcurand -lstdc++
ifeq ($(CUDNN), 1)
HOSTDEFS += -DCUDNN
GPULIBS  += -lcudnn
endif
else ifeq ($(CUDNN), 1)
$(error CUDNN=1 needs GPU=1)
endif
ifeq ($(OPENCV), 1)
HOSTDEFS += -DOPENCV
OPENCVLIBS = $(shell pkg-config --libs opencv4) -lstdc++
endif
ifeq ($(OPENMP), 1)
OMPFLAGS := -fopenmp
endif

# OpenBLAS on OpenMP's own threads, where the distribution has it: two pools that wait by spinning take each
# other's cores.
ifeq ($(OPENMP), 1)
OPENBLAS := $(firstword $(wildcard /usr/lib/*/openblas-openmp))
endif
BLASPATH := $(if $(OPENBLAS),-L$(OPENBLAS) -Wl$(comma)--disable-new-dtags$(comma)-rpath$(comma)$(OPENBLAS))
BLASFLAGS = $(shell $(if $(OPENBLAS),PKG_CONFIG_PATH=$(OPENBLAS)/pkgconfig) pkg-config --cflags openblas lapacke 2>/dev/null)
# Never -Ofast or -ffast-math here: a NaN must stay a NaN.
CFLAGS  ?=
VKD_CFLAGS = -std=c11 $(OPTS) $(ARCHFLAGS) $(OMPFLAGS) $(SANFLAGS) $(if $(SANFLAGS),-fno-sanitize-recover=undefined) \
             -Wall -Wextra -Werror -fPIC -Idarknet_vkd $(BLASFLAGS) $(CFLAGS)
# Only the host floor sees Darknet. Its headers are not ours to warn about.
HOST_CFLAGS = -isystem $(HOST)/include -isystem $(HOST)/src $(HOSTDEFS)
HOST_TEST_CFLAGS = $(HOST_CFLAGS) -DVKD_DARKNET='"$(HOST)"'
VKD_LDFLAGS = $(SANFLAGS) $(COVERAGE_LDFLAGS) $(OMPFLAGS) $(BLASPATH) -llapacke -lopenblas -lm -pthread
NVCCFLAGS ?= -O3 --compiler-options -fPIC
# Darknet's own optimisation; empty: -Ofast, as it comes.
HOST_OPTS ?= $(if $(filter-out 0 coverage,$(SANITIZE)),$(OPTS))
# The taps on the device: their C files see CUDA's headers, which are not ours to warn about. On the CPU, kernels
# are C++ that a header of the tests stands in for CUDA in.
CUDA_CFLAGS = $(if $(filter 1,$(GPU)),-isystem $(CUDA)/include)
ifeq ($(origin CXX), default)
CXX     := $(if $(findstring clang,$(CC)),clang++,g++)
endif
SHIM_CXXFLAGS = -std=c++17 $(OPTS) $(SANFLAGS) $(if $(SANFLAGS),-fno-sanitize-recover=undefined) -Wall -Wextra -Werror \
    -fPIC -Idarknet_vkd -Itests/gpu $(BLASFLAGS)

# As seen from $(HOST), where Darknet is made; ../include leads to darknet_vkd.
DARKNET_FLAGS = GPU=$(GPU) CUDNN=$(CUDNN) OPENCV=$(OPENCV) OPENMP=$(OPENMP) DEBUG=$(DEBUG) CC="$(CC)" \
    VKD_CFLAGS="-I../include $(ARCHFLAGS) $(BLASFLAGS) $(filter-out --coverage,$(SANFLAGS)) -Wno-stringop-truncation" VKD_LDFLAGS="$(VKD_LDFLAGS)" VKD_DEPS=../flags \
    VKD_LIBS="../libvkd_host.a ../libvkd.a" $(if $(filter 1,$(GPU)),NVCC="$(NVCC)" ARCH="$(NVCC_ARCH)" CUDA="$(CUDA)") \
    $(if $(HOST_OPTS),OPTS="$(HOST_OPTS)") $(if $(filter fuzz,$(SANITIZE)),CPP=clang++)

# ---- sources --------------------------------------------------------------------------------------------------

GPU_SRC  := $(wildcard darknet_vkd/gpu/*.c darknet_vkd/gpu/*.cu)
VKD_SRC  := $(wildcard darknet_vkd/numerics/*.c darknet_vkd/core/*.c)
HOST_SRC := $(wildcard darknet_vkd/host/*.c)
ifeq ($(SANITIZE), coverage)
VKD_SRC  += tests/coverage/exit.c
endif
ifeq ($(GPU), 1)
VKD_SRC  += $(GPU_SRC)
endif
VKD_OBJ  := $(VKD_SRC:%=$(BUILD)/obj/%.o)
HOST_OBJ := $(HOST_SRC:%=$(BUILD)/obj/%.o)
LIBVKD   := $(BUILD)/libvkd.a
LIBHOST  := $(BUILD)/libvkd_host.a

# gpu/ with a CPU under it.
SHIM_OBJ := $(patsubst %,$(BUILD)/obj/shim/%.o,$(filter-out %/device.c,$(GPU_SRC)) $(wildcard tests/gpu/*_on_cpu.cpp))
LIBSHIM  := $(BUILD)/libvkd_shim.a
SHIM_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/gpu/test_*.c))
BENCH_SHIM := $(BUILD)/tests/bench/bench_device_tap
BENCH_GPU := $(BUILD)/tests/on_gpu/bench_device_tap
# On a GPU all but those that ask what only a CPU can answer.
GPU_TESTS := $(filter-out %_on_cpu,$(SHIM_TESTS:$(BUILD)/tests/gpu/%=$(BUILD)/tests/on_gpu/%))

LOW_TESTS  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/numerics/test_*.c tests/core/test_*.c))
HOST_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/host/test_*.c tests/patches/test_*.c))
# Of the whole program on its devices.
DEVICE_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/gpu/devices/test_*.c))
# Programs that tests run: they are no tests themselves.
HOST_TOOLS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/handover/*.c))
KILL_AT    := $(BUILD)/tests/interrupt/kill_at.so
COCO_CFGS   := $(patsubst cfg/coco/%.taps,$(BUILD)/cfg/coco/%.cfg,$(wildcard cfg/coco/*.taps))
BENCH_PROGRAM := $(BUILD)/tests/bench/bench_numerics
BENCH_STEP := $(BUILD)/tests/bench/bench_step
BENCH_DEVICE_STEP := $(BUILD)/tests/bench/bench_device_step
SHELL_TESTS := $(sort $(wildcard tests/scripts/*.sh)) $(sort $(wildcard tests/end_to_end/*.sh))

FUZZERS := $(BUILD)/tests/fuzz/fuzz_options $(BUILD)/tests/fuzz/fuzz_cfg
REPLAYS := $(BUILD)/tests/fuzz/test_replay_options $(BUILD)/tests/fuzz/test_replay_cfg
# What tests/fuzz/trap.h wants: the program ends and allocates under its eyes.
comma := ,
TRAP_LDFLAGS := $(addprefix -Wl$(comma)--wrap=,exit _exit pthread_mutex_lock malloc calloc aligned_alloc realloc free strdup fopen fclose)

# A line a file; V=1 shows the commands.
Q   := $(if $(V),,@)
SAY = $(if $(V),@:,@echo '  $(@:$(BUILD)/%=%)')

MAKEFLAGS += --no-builtin-rules
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif

.PHONY: all tests test test-gpu test-on-gpu gpu-tests device-tests gpu-on-cpu cudnn-on-cpu kill-test soak lint
.PHONY: asan tsan tsan-tests valgrind valgrind-run fuzz fuzzers coverage coverage-run
.PHONY: demo demo-teacher demo-seeds study study-deps study-report coco-cfgs coco-check
.PHONY: bench bench-numerics bench-step bench-gpu bench-on-gpu profile clean deps FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: darknet $(COCO_CFGS)

# The binary to use. With another BUILD, or for the sanitizers, it stays in its own folder.
ifeq ($(BUILD), build)
darknet: $(DARKNET)
	@cp $< $@.new && mv $@.new $@
else
.PHONY: darknet
darknet: $(DARKNET)
endif

# ---- the host -------------------------------------------------------------------------------------------------

# Programs the build needs; a shell test and no more when they are all here.
deps:
ifneq ($(INSTALL_DEPS), 0)
	@scripts/install_deps.sh build $(if $(filter 1,$(OPENCV)),opencv)
else
	@CC='$(firstword $(CC))' scripts/install_deps.sh --check build $(if $(filter 1,$(OPENCV)),opencv) || true
endif

$(PRISTINE)/include/darknet.h: | deps
	@scripts/fetch_darknet.sh $(PRISTINE) $(VKD_DOWNLOADS)

$(HOST)/.patched: $(PRISTINE)/include/darknet.h scripts/patch_darknet.sh $(wildcard patches/series patches/*.patch)
	@scripts/patch_darknet.sh $(PRISTINE) patches $(HOST)
	@touch $@

# Other flags are another build: everything depends on one of these files, which change only when they do. The lower
# floors do not know how Darknet is built.
$(BUILD)/flags: FLAGS = $(VKD_CFLAGS) $(HOST_CFLAGS) $(subst ",,$(DARKNET_FLAGS))
$(BUILD)/flags_vkd: FLAGS = $(VKD_CFLAGS)
$(BUILD)/flags_nvcc: FLAGS = $(NVCC) $(CUDA) $(NVCC_ARCH) $(NVCCFLAGS)
$(BUILD)/flags $(BUILD)/flags_vkd $(BUILD)/flags_nvcc: FORCE | deps
	@mkdir -p $(@D)
	$(if $(filter %/flags,$@),@[ "$$(readlink $(BUILD)/include)" = "$$PWD/darknet_vkd" ] || ln -sfn "$$PWD/darknet_vkd" $(BUILD)/include)
	@printf '%s\n' '$(FLAGS)' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# Darknet's own Makefile knows what of it is out of date. It gets the flags that it is to have, and not those of our
# command line, which would take the place of its own: CFLAGS= is the plugin's.
$(DARKNET): private MAKEOVERRIDES :=
$(DARKNET): $(HOST)/.patched $(BUILD)/flags $(LIBVKD) $(LIBHOST) FORCE
	@$(MAKE) --no-print-directory $(if $(V),,-s) -C $(HOST) $(DARKNET_FLAGS) all

# ---- the plugin -----------------------------------------------------------------------------------------------

$(BUILD)/obj/darknet_vkd/host/%.c.o: darknet_vkd/host/%.c $(BUILD)/flags | $(HOST)/.patched
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) $(HOST_CFLAGS) -MMD -MP -c $< -o $@

# a * b + c in one rounding, which -std=c11 forbids by itself.
$(foreach f,direct direct_gradient tiles winograd winograd_gradient,$(BUILD)/obj/darknet_vkd/numerics/$f.c.o): private VKD_CFLAGS += -ffp-contract=fast
$(BUILD)/obj/%.c.o: %.c $(BUILD)/flags_vkd | deps
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/obj/darknet_vkd/gpu/%.c.o: private VKD_CFLAGS += $(CUDA_CFLAGS)
$(patsubst %,$(BUILD)/obj/%.o,$(filter %.c,$(GPU_SRC))): $(BUILD)/flags_nvcc
$(BUILD)/obj/%.cu.o: %.cu $(BUILD)/flags_nvcc | deps
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(NVCC) -std=c++17 $(NVCC_ARCH) $(NVCCFLAGS) -Werror all-warnings -Wno-deprecated-gpu-targets -Xcompiler -Wall,-Wextra -Idarknet_vkd -MMD -MP -MF $(@:.o=.d) -c $< -o $@

$(BUILD)/obj/shim/%.c.o: %.c $(BUILD)/flags_vkd | deps
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) -MMD -MP -c $< -o $@
$(BUILD)/obj/shim/%.cu.o: %.cu $(BUILD)/flags | deps
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CXX) $(SHIM_CXXFLAGS) -include tests/gpu/cuda_on_cpu.h -MMD -MP -x c++ -c $< -o $@
$(BUILD)/obj/shim/%.cpp.o: %.cpp $(BUILD)/flags | deps
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CXX) $(SHIM_CXXFLAGS) -MMD -MP -c $< -o $@

# Made afresh, so that an object whose source is gone does not stay in it; the list file tells when that is.
$(BUILD)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(VKD_SRC) $(HOST_SRC)' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(LIBVKD): $(VKD_OBJ) $(BUILD)/sources
	@rm -f $@
	$(Q)$(AR) rcs $@ $(VKD_OBJ)

$(LIBSHIM): $(SHIM_OBJ) $(BUILD)/sources
	@rm -f $@
	$(Q)$(AR) rcs $@ $(SHIM_OBJ)

$(LIBHOST): $(HOST_OBJ) $(BUILD)/sources
	@rm -f $@
	$(Q)$(AR) rcs $@ $(HOST_OBJ)

-include $(patsubst %.o,%.d,$(VKD_OBJ) $(HOST_OBJ) $(SHIM_OBJ)) $(addsuffix .d,$(LOW_TESTS) $(SHIM_TESTS) $(BENCH_SHIM) $(GPU_TESTS) $(BENCH_GPU) $(HOST_TESTS) $(DEVICE_TESTS) $(HOST_TOOLS) $(FUZZERS) $(REPLAYS) $(BENCH_PROGRAM) $(BENCH_STEP) $(BENCH_DEVICE_STEP))

# ---- COCO -----------------------------------------------------------------------------------------------------

# STUDENT-from-TEACHER.taps and Darknet's own STUDENT.cfg make one cfg to train with.
coco-cfgs: $(COCO_CFGS)

$(COCO_CFGS): $(BUILD)/cfg/coco/%.cfg: cfg/coco/%.taps scripts/join_cfg.sh $(HOST)/.patched
	@mkdir -p $(@D)
	@scripts/join_cfg.sh $(HOST)/cfg/$(firstword $(subst -from-, ,$*)).cfg $< >$@.new && mv $@.new $@

# A few batches at full size, with random weights: shapes, memory and time, and nothing about accuracy.
coco-check: darknet $(COCO_CFGS)
	@DARKNET="$(AT_DARKNET)" BUILD="$(AT_BUILD)" scripts/coco_check.sh

# ---- tests ----------------------------------------------------------------------------------------------------

# The lower floors are compiled and linked without Darknet, so that they cannot come to need it.
$(LOW_TESTS): $(BUILD)/tests/%: tests/%.c $(LIBVKD) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) -Itests -MMD -MP -MF $@.d $< -o $@ $(LIBVKD) -lcmocka $(TEST_LDFLAGS) $(VKD_LDFLAGS)

$(SHIM_TESTS): $(BUILD)/tests/%: tests/%.c $(LIBSHIM) $(LIBVKD) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) -Itests -MMD -MP -MF $@.d $< -o $@ $(LIBSHIM) $(LIBVKD) -lcmocka -lstdc++ $(VKD_LDFLAGS)

# The same on a GPU: `make test-gpu`.
$(GPU_TESTS): $(BUILD)/tests/on_gpu/%: tests/gpu/%.c $(LIBVKD) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) -DVKD_ON_GPU -Itests -MMD -MP -MF $@.d $< -o $@ $(LIBVKD) -lcmocka $(GPULIBS) $(VKD_LDFLAGS)

# What single taps cost there, in `make bench-gpu`. `make tests` builds it over a CPU, so that it stays whole.
$(BENCH_GPU): tests/bench/bench_device_tap.c $(LIBVKD) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) -MMD -MP -MF $@.d $< -o $@ $(LIBVKD) $(GPULIBS) $(VKD_LDFLAGS)
$(BENCH_SHIM): tests/bench/bench_device_tap.c $(LIBSHIM) $(LIBVKD) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) -MMD -MP -MF $@.d $< -o $@ $(LIBSHIM) $(LIBVKD) -lstdc++ $(VKD_LDFLAGS)

bench-on-gpu: $(BENCH_GPU) $(BENCH_DEVICE_STEP)
	@$<
	@python3 scripts/bench_step.py $(BENCH_DEVICE_STEP) $(HOST)/cfg --gpu $(BENCH_ARGS)
bench-gpu:
	@NVCC='$(NVCC)' scripts/test_gpu.sh $(WITHIN)/on_gpu GPU=1 bench-on-gpu

gpu-tests: $(GPU_TESTS) $(DEVICE_TESTS) $(BENCH_GPU) $(BENCH_DEVICE_STEP)
test-on-gpu: gpu-tests $(DARKNET)
	@TIMEOUT=$(or $(TIMEOUT),1800) BUILD="$(AT_BUILD)" DARKNET="$(AT_DARKNET)" scripts/run_tests.sh $(GPU_TESTS) $(DEVICE_TESTS) $(wildcard tests/gpu/*.sh)

# The whole program where a CPU stands in for the GPU (tests/gpu/toolkit): slow, and true to the order of things.
gpu-on-cpu cudnn-on-cpu: %-on-cpu:
	@tests/gpu/toolkit/build.sh "$(AT_BUILD)/toolkit"
	+@CFLAGS='$(CFLAGS) -DVKD_DEVICE_LAUNCH=8,4,3' $(WITHIN)/$*_on_cpu GPU=1 CUDNN=$(if $(filter cudnn,$*),1,0) ARCH= \
	    NVCC="$$PWD/tests/gpu/toolkit/nvcc" CUDA="$(AT_BUILD)/toolkit" all device-tests
	@CUDNN=$(if $(filter cudnn,$*),1,0) BUILD="$(AT_BUILD)/$*_on_cpu" DARKNET="$(AT_BUILD)/$*_on_cpu/darknet/darknet" scripts/run_tests.sh \
	    $(DEVICE_TESTS:$(BUILD)/%=$(BUILD)/$*_on_cpu/%) $(wildcard tests/gpu/*.sh)

device-tests: $(DEVICE_TESTS) $(BENCH_DEVICE_STEP)

# Where there is no GPU it says so, and that is no failure.
test-gpu:
	@NVCC='$(NVCC)' scripts/test_gpu.sh $(WITHIN)/on_gpu GPU=1 test-on-gpu

# An allocator that fails on demand, in this one program.
$(BUILD)/tests/core/test_no_memory: TEST_LDFLAGS = $(foreach f,malloc calloc realloc free,-Wl,--wrap=$f)

$(HOST_TESTS) $(DEVICE_TESTS) $(HOST_TOOLS) $(BENCH_STEP) $(BENCH_DEVICE_STEP): $(BUILD)/tests/%: tests/%.c $(DARKNET) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) $(HOST_TEST_CFLAGS) -Itests -MMD -MP -MF $@.d $< -o $@ -Wl,--start-group $(HOST)/libdarknet.a \
	    $(LIBHOST) $(LIBVKD) -Wl,--end-group $(if $(filter test_%,$(@F)),-lcmocka) $(VKD_LDFLAGS) -ldl $(OPENCVLIBS) $(GPULIBS)

# Preloaded, it ends a program at a chosen call.
$(KILL_AT): tests/interrupt/kill_at.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) -std=c11 -O1 -Wall -Wextra -Werror -fPIC -shared $< -o $@ -ldl

test-deps:
ifneq ($(INSTALL_DEPS), 0)
	@scripts/install_deps.sh build test
	@scripts/install_deps.sh stock || echo "no stock darknet to compare with" >&2
	@scripts/install_deps.sh dnn || echo "no OpenCV dnn module to compare with" >&2
endif
.PHONY: test-deps

$(LOW_TESTS) $(SHIM_TESTS) $(GPU_TESTS) $(HOST_TESTS) $(DEVICE_TESTS) $(REPLAYS) $(HOST_TOOLS): | test-deps

tests: darknet $(COCO_CFGS) $(LOW_TESTS) $(SHIM_TESTS) $(BENCH_SHIM) $(HOST_TESTS) $(REPLAYS) $(HOST_TOOLS) $(KILL_AT)

test: tests
	@BUILD="$(AT_BUILD)" DARKNET="$(AT_DARKNET)" SANITIZE='$(SANITIZE)' \
	    scripts/run_tests.sh $(LOW_TESTS) $(SHIM_TESTS) $(HOST_TESTS) $(REPLAYS) $(SHELL_TESTS)

# Runs killed at 200 moments, where `make test` takes a handful.
kill-test: darknet $(KILL_AT)
	@RUNS=$(or $(RUNS),200) BUILD="$(AT_BUILD)" DARKNET="$(AT_DARKNET)" SANITIZE='$(SANITIZE)' tests/end_to_end/41_killed.sh

# Any bytes as a cfg, for SECONDS_EACH seconds (or RUNS inputs) and each of two kinds of them: scripts/fuzz.sh.
fuzz:
ifneq ($(INSTALL_DEPS), 0)
	@scripts/install_deps.sh build fuzz
endif
	@$(WITHIN)/fuzz CC=clang SANITIZE=fuzz OPENMP=0 fuzzers
	@BUILD="$(AT_BUILD)/fuzz" scripts/fuzz.sh

fuzzers: $(FUZZERS) $(DARKNET)

$(BUILD)/tests/fuzz/%_options: tests/fuzz/%_options.c $(LIBVKD) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) -Itests -MMD -MP -MF $@.d $< -o $@ $(LIBVKD) $(VKD_LDFLAGS) $(FUZZ_LDFLAGS)

$(BUILD)/tests/fuzz/%_cfg: tests/fuzz/%_cfg.c $(BUILD)/obj/tests/fuzz/trap.c.o $(DARKNET) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) $(HOST_TEST_CFLAGS) -Itests -MMD -MP -MF $@.d $< -o $@ $(BUILD)/obj/tests/fuzz/trap.c.o \
	    -Wl,--start-group $(HOST)/libdarknet.a $(LIBHOST) $(LIBVKD) -Wl,--end-group $(TRAP_LDFLAGS) $(VKD_LDFLAGS) \
	    -ldl $(OPENCVLIBS) $(GPULIBS) $(FUZZ_LDFLAGS)

$(BUILD)/obj/tests/fuzz/trap.c.o: VKD_CFLAGS += -Itests
$(FUZZERS): FUZZ_LDFLAGS := -fsanitize=fuzzer
$(REPLAYS): FUZZ_LDFLAGS := -lcmocka

# Each test several times as slow as without; TIMEOUT= where the machine has other work as well.
asan:
	@TIMEOUT=$(or $(TIMEOUT),900) $(WITHIN)/asan SANITIZE=1 OPENMP=0 test

# Where threads meet: the loader's, the trainings that follow -seed, the measuring. Without OpenMP, whose runtime the
# sanitizer does not see into, as it does not into OpenBLAS's threads. A race ends the program.
TSAN_TESTS := $(BUILD)/tests/gpu/test_device_tap_threads $(BUILD)/tests/host/test_run $(BUILD)/tests/host/test_padding $(BUILD)/tests/host/test_pictures \
    $(wildcard $(addprefix tests/end_to_end/,30_*.sh 45_*.sh 46_*.sh 55_*.sh))
tsan:
	@$(WITHIN)/tsan SANITIZE=thread OPENMP=0 tsan-tests

tsan-tests: $(DARKNET) $(filter $(BUILD)/%,$(TSAN_TESTS)) $(HOST_TOOLS)
	@TSAN_OPTIONS="halt_on_error=1 exitcode=66 report_thread_leaks=0 suppressions='$$PWD/tests/thread_sanitizer.supp'" OPENBLAS_NUM_THREADS=1 TIMEOUT=$(or $(TIMEOUT),600) BUILD="$(AT_BUILD)" \
	    DARKNET="$(AT_DARKNET)" SANITIZE='$(SANITIZE)' scripts/run_tests.sh $(TSAN_TESTS)

# Which lines of the plugin the tests run: a figure a file, and what never ran. Lines between LCOV_EXCL_START or behind
# LCOV_EXCL_LINE and a reason are not asked for. TESTS= takes other tests than all.
coverage:
ifneq ($(INSTALL_DEPS), 0)
	@scripts/install_deps.sh build coverage
endif
	@[ ! -d $(BUILD)/coverage ] || find $(BUILD)/coverage -name '*.gcda' -delete
	@$(WITHIN)/coverage SANITIZE=coverage coverage-run

coverage-run: tests
	@rm -f $(BUILD)/failed
	@GCOV_ERROR_FILE="$(AT_BUILD)/gcov.log" BUILD="$(AT_BUILD)" DARKNET="$(AT_DARKNET)" SANITIZE='$(SANITIZE)' TIMEOUT=$(or $(TIMEOUT),600) \
	    scripts/run_tests.sh $(or $(TESTS),$(LOW_TESTS) $(SHIM_TESTS) $(HOST_TESTS) $(REPLAYS) $(SHELL_TESTS)) || touch $(BUILD)/failed
	@scripts/coverage.sh $(BUILD)
	@[ ! -e $(BUILD)/failed ]

# ---- the rest -------------------------------------------------------------------------------------------------

demo demo-teacher demo-seeds: darknet
ifneq ($(INSTALL_DEPS), 0)
	@scripts/install_deps.sh demo
endif
	@DARKNET="$(AT_DARKNET)" BUILD="$(AT_BUILD)" scripts/$(subst -,_,$@).sh

# Trains what has no row in cfg/fashion/study.csv yet, and makes tables of the rows. STUDY_ARGS: --table, --seeds,
# --jobs, --minutes; --plot FILE for the report, --readme README.md for the table there.
study: darknet study-deps
	@scripts/study.py run --darknet "$(AT_DARKNET)" $(STUDY_ARGS)

study-deps:
ifneq ($(INSTALL_DEPS), 0)
	@scripts/install_deps.sh study
endif

study-report: study-deps
	@scripts/study.py report $(STUDY_ARGS)

# What a step costs: by its parts, beside PyTorch's, how it grows; then the demo's batches alone and distilled.
bench: darknet bench-step
	@DARKNET="$(AT_DARKNET)" BUILD="$(AT_BUILD)" scripts/bench.sh

# The drift of P over 100,000 updates with random gradients, for each map and way of re-basing; and 20,000 batches of a
# training with random=1: memory, defect and speed.
soak: $(BUILD)/tests/core/test_drift darknet
	@UPDATES=100000 $<
	@DARKNET="$(AT_DARKNET)" BUILD="$(AT_BUILD)" bash tests/end_to_end/soak.bash

# A short distillation under valgrind: every byte read has been written, no block lies outside. Without the newest
# instructions, which valgrind does not know, and OpenBLAS's for an older processor.
valgrind:
ifneq ($(INSTALL_DEPS), 0)
	@scripts/install_deps.sh build valgrind
endif
	@$(WITHIN)/valgrind MARCH=x86-64-v2 OPENMP=0 valgrind-run

valgrind-run: $(DARKNET)
	@DARKNET="$(AT_DARKNET)" BUILD="$(AT_BUILD)" BATCHES=20 GRIND=must bash tests/end_to_end/58_valgrind.sh && \
	    echo "valgrind: no errors" || { echo "valgrind: see above" >&2 && exit 1; }

# Single operations, beside PyTorch's and SciPy's where they are installed.
$(BENCH_PROGRAM): tests/bench/bench_numerics.c $(LIBVKD) $(BUILD)/flags
	@mkdir -p $(@D)
	$(SAY)
	$(Q)$(CC) $(VKD_CFLAGS) -MMD -MP -MF $@.d $< -o $@ $(LIBVKD) $(VKD_LDFLAGS)

bench-numerics: $(BENCH_PROGRAM)
ifneq ($(INSTALL_DEPS), 0)
	@scripts/install_deps.sh bench || echo "no PyTorch to compare with" >&2
endif
	@scripts/bench_numerics.py $(BENCH_PROGRAM) $(BENCH_ARGS)

bench-step: $(BENCH_STEP)
ifneq ($(INSTALL_DEPS), 0)
	@scripts/install_deps.sh bench || echo "no PyTorch to compare with" >&2
endif
	@scripts/bench_step.py $(BENCH_STEP) $(HOST)/cfg $(BENCH_ARGS)

# Where the time of a step goes, layer by layer.
profile: $(BENCH_STEP)
	@scripts/bench_step.py $(BENCH_STEP) $(HOST)/cfg --only profile $(BENCH_ARGS)

# Format, scripts, and what static checkers find in the plugin.
lint: $(HOST)/.patched
ifneq ($(INSTALL_DEPS), 0)
	@scripts/install_deps.sh lint
endif
	@BUILD=$(BUILD) scripts/lint.sh

clean:
	rm -rf $(addprefix $(BUILD)/,obj tests cfg darknet asan coverage fuzz tsan valgrind flags sources) $(BUILD)/*.a
	rm -f darknet

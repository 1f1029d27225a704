// CUDA C++ for a compiler of the host: the threads of a block are contexts that take turns at barriers.
#include <math.h>
#include <string.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(n)

struct Index {
    unsigned x;
};
static Index threadIdx, blockIdx;

static inline unsigned __float_as_uint(float a) { unsigned b; memcpy(&b, &a, 4); return b; }
static inline float __int_as_float(int a) { float b; memcpy(&b, &a, 4); return b; }
static inline double __longlong_as_double(long long a) { double b; memcpy(&b, &a, 8); return b; }

enum { THREADS = 256, STACK = 1 << 16 };
static ucontext_t scheduler, contexts[THREADS];
static char stacks[THREADS][STACK];
static bool is_done[THREADS];
static void (*current)(void**);
static void** arguments;

static inline void __syncthreads() { swapcontext(&contexts[threadIdx.x], &scheduler); }

static void thread() {
    current(arguments);
    is_done[threadIdx.x] = true;
}

static bool is_reversed;  // whether the last block and the last thread come first
extern "C" void reverse(bool yes) { is_reversed = yes; }
static unsigned place(unsigned k, unsigned n) { return is_reversed ? n - 1 - k : k; }

static void launch(void (*kernel)(void**), bool has_barriers, unsigned blocks, void** given) {
    current = kernel, arguments = given;
    for (unsigned b = 0; b < blocks; b++) {
        blockIdx.x = place(b, blocks);
        if (!has_barriers) {
            for (unsigned t = 0; t < THREADS; t++) threadIdx.x = place(t, THREADS), kernel(given);
            continue;
        }
        for (unsigned t = 0; t < THREADS; t++) {
            getcontext(&contexts[t]);
            contexts[t].uc_stack.ss_sp = stacks[t], contexts[t].uc_stack.ss_size = STACK, contexts[t].uc_link = &scheduler;
            makecontext(&contexts[t], thread, 0);
            is_done[t] = false;
        }
        for (bool is_left = true; is_left;) {
            is_left = false;
            for (unsigned k = 0; k < THREADS; k++) {
                const unsigned t = place(k, THREADS);
                if (!is_done[t]) threadIdx.x = t, swapcontext(&scheduler, &contexts[t]), is_left = true;
            }
        }
    }
}

// Executes single instructions on the processor that this runs on. Reads requests from stdin, writes answers to stdout, both as
// the structs below; test/support/amd64-record.ts is the other side. x86-64 Linux only: cc -O1 -o amd64-native amd64-native.c
//
// A request is installed by rewriting the context of a signal handler, with TF set, so that the processor stops by itself after one
// instruction (after one iteration, if it repeats). Whatever signal ends it is captured in the same way.

#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE ((uint8_t *)0x10000)
#define DATA ((uint8_t *)0x20000)
#define PAGE 4096
#define TF 0x100

struct request {
  uint8_t code[16];
  uint64_t gpr[16]; // by instruction-set number: rax rcx rdx rbx rsp rbp rsi rdi r8 ...
  uint64_t rflags, gs_base;
  uint32_t mxcsr, pad;
  uint8_t xmm[16][16];
  uint8_t data[PAGE];
};

struct answer {
  uint64_t gpr[16];
  uint64_t rflags, rip;
  uint32_t mxcsr, signal; // SIGTRAP by TF: 0
  uint64_t trap;          // processor's exception number
  uint8_t xmm[16][16];
  uint8_t data[PAGE];
};

static const int ORDER[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static struct request request;
static struct answer answer;
static mcontext_t home;
static struct _libc_fpstate home_fp;
static volatile int done;

static void start(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info;
  mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
  home = *m;
  home_fp = *m->fpregs;
  for (int n = 0; n < 16; n++) m->gregs[ORDER[n]] = request.gpr[n];
  m->gregs[REG_EFL] = request.rflags | TF;
  m->gregs[REG_RIP] = (greg_t)CODE;
  memcpy(m->fpregs->_xmm, request.xmm, sizeof request.xmm);
  m->fpregs->mxcsr = request.mxcsr;
  // XSTATE_BV: take x87 and SSE from this frame even if they were in their initial state (SDM vol. 1, 13.4.2).
  *(uint64_t *)((uint8_t *)m->fpregs + 512) |= 3;
}

static void stop(int signal, siginfo_t *info, void *context) {
  (void)info;
  mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
  for (int n = 0; n < 16; n++) answer.gpr[n] = m->gregs[ORDER[n]];
  answer.rflags = m->gregs[REG_EFL] & ~(uint64_t)TF;
  answer.rip = m->gregs[REG_RIP];
  answer.trap = m->gregs[REG_TRAPNO];
  answer.signal = signal == SIGTRAP && answer.trap == 1 ? 0 : signal;
  memcpy(answer.xmm, m->fpregs->_xmm, sizeof answer.xmm);
  answer.mxcsr = m->fpregs->mxcsr;
  struct _libc_fpstate *fp = m->fpregs;
  memcpy(m->gregs, home.gregs, sizeof home.gregs);
  memcpy(fp->_xmm, home_fp._xmm, sizeof home_fp._xmm);
  fp->mxcsr = home_fp.mxcsr;
  done = 1;
}

static void on(int signal, void (*handler)(int, siginfo_t *, void *)) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigaction(signal, &action, NULL);
}

int main(void) {
  static uint8_t stack[1 << 16];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  if (mmap(CODE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0) != CODE ||
      mmap(DATA, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) != DATA) {
    perror("mmap");
    return 1;
  }
  on(SIGUSR1, start);
  on(SIGTRAP, stop);
  on(SIGILL, stop);
  on(SIGFPE, stop);
  on(SIGSEGV, stop);
  on(SIGBUS, stop);
  while (fread(&request, sizeof request, 1, stdin) == 1) {
    memset(CODE, 0xcc, PAGE);
    memcpy(CODE, request.code, sizeof request.code);
    memcpy(DATA, request.data, PAGE);
    syscall(SYS_arch_prctl, ARCH_SET_GS, request.gs_base);
    done = 0;
    raise(SIGUSR1);
    if (!done) return 2;
    memcpy(answer.data, DATA, PAGE);
    fwrite(&answer, sizeof answer, 1, stdout);
  }
  return 0;
}

// Whether an interrupted caller wants out, by the signals that are pending for it.
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <initializer_list>

#include "../caller.h"
#include "cases.h"
#include "check.h"

namespace sluice::test {
namespace {

uint64_t bits(std::initializer_list<int> signals) {
  uint64_t mask = 0;
  for (const int signal : signals) mask |= 1ull << (signal - 1);
  return mask;
}

void decisions() {
  struct Case {
    std::initializer_list<int> pending, blocked, ignored, caught;
    bool leaves;
  };
  const Case cases[] = {
      {{}, {}, {}, {}, false},
      {{SIGKILL}, {}, {}, {}, true},
      {{SIGKILL, SIGCHLD}, {}, {}, {}, true},
      // Asked to end, whether or not there is a handler.
      {{SIGINT}, {}, {}, {}, true},
      {{SIGINT}, {}, {}, {SIGINT}, true},
      {{SIGTERM}, {}, {}, {SIGTERM}, true},
      {{SIGHUP}, {}, {}, {SIGHUP}, true},
      {{SIGQUIT}, {}, {}, {SIGQUIT}, true},
      // But not when they do not hear it.
      {{SIGINT}, {SIGINT}, {}, {}, false},
      {{SIGTERM}, {}, {SIGTERM}, {}, false},
      // Handlers of other signals: the read goes on.
      {{SIGALRM}, {}, {}, {SIGALRM}, false},
      {{SIGUSR1, SIGPROF}, {}, {}, {SIGUSR1, SIGPROF}, false},
      {{SIGALRM}, {}, {}, {}, true},
      {{SIGUSR1}, {SIGUSR1}, {}, {}, false},
      {{SIGPIPE}, {}, {SIGPIPE}, {}, false},
      {{SIGSEGV}, {}, {}, {}, true},
      {{SIGRTMIN}, {}, {}, {}, true},
      {{64}, {}, {}, {64}, false},
      // Their default ends nobody.
      {{SIGCHLD}, {}, {}, {}, false},
      {{SIGWINCH, SIGURG, SIGCONT}, {}, {}, {}, false},
      {{SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU}, {}, {}, {}, false},
      {{SIGCHLD, SIGTERM}, {}, {}, {SIGTERM}, true},
  };
  int number = 0;
  for (const Case& at : cases) {
    ++number;
    CHECK(is_leaving({bits(at.pending), bits(at.blocked), bits(at.ignored), bits(at.caught)}) == at.leaves, "case " << number);
  }
  pass("who is asked to end or would be ended leaves, who has a handler stays");
}

void living_threads() {
  const auto self = static_cast<uint32_t>(::syscall(SYS_gettid));
  CHECK(!caller_is_leaving(self));
  sigset_t one, before;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &one, &before);
  ::raise(SIGUSR2);
  // Pending, and blocked: not heard.
  CHECK(!caller_is_leaving(self));
  const timespec now{};
  CHECK(::sigtimedwait(&one, nullptr, &now) == SIGUSR2);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  // Nothing can be learnt of it.
  CHECK(caller_is_leaving(0) && caller_is_leaving(~0u));
  pass("the signals of a thread are read from its status");
}

}  // namespace

void run_caller_cases() {
  decisions();
  living_threads();
}

}  // namespace sluice::test

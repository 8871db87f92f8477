// Whether the thread that waits for a request wants out. The kernel interrupts a request once, for any signal; which one
// it was decides: a program that merely gets SIGCHLD, SIGALRM or SIGPROF expects its read(2) of a file to go on.
#pragma once

#include <cstdint>

namespace sluice {

// True when a signal is pending for the thread that ends it, or that asks it to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT,
// also when it has a handler), and when nothing can be learnt of the thread. `thread_id` as in a request's header.
bool caller_is_leaving(uint32_t thread_id);

// The decision alone, from the signal masks of /proc/<tid>/status.
struct SignalMasks {
  uint64_t pending = 0, blocked = 0, ignored = 0, caught = 0;
};
bool is_leaving(const SignalMasks& masks);

}  // namespace sluice

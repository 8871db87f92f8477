#include "caller.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sluice {
namespace {

constexpr uint64_t bit(int signal) { return 1ull << (signal - 1); }

constexpr uint64_t kAsksToEnd = bit(SIGINT) | bit(SIGTERM) | bit(SIGHUP) | bit(SIGQUIT);
// Their default is to be ignored, to stop or to continue.
constexpr uint64_t kEndsNobody = bit(SIGCHLD) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGCONT) | bit(SIGSTOP) | bit(SIGTSTP) |
                                 bit(SIGTTIN) | bit(SIGTTOU);

bool mask_of(const char* status, const char* field, uint64_t& mask) {
  const char* line = std::strstr(status, field);
  if (line == nullptr) return false;
  mask |= std::strtoull(line + std::strlen(field), nullptr, 16);
  return true;
}

}  // namespace

bool is_leaving(const SignalMasks& masks) {
  if (masks.pending & bit(SIGKILL)) return true;
  const uint64_t heard = masks.pending & ~masks.blocked & ~masks.ignored;
  const uint64_t by_default = heard & ~masks.caught;
  return (by_default & ~kEndsNobody) != 0 || (heard & kAsksToEnd) != 0;
}

bool caller_is_leaving(uint32_t thread_id) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%u/status", thread_id);
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return true;
  char status[4096];
  const ssize_t length = ::read(fd, status, sizeof status - 1);
  ::close(fd);
  if (length <= 0) return true;
  status[length] = 0;
  SignalMasks masks;
  const bool known = mask_of(status, "\nSigPnd:", masks.pending) && mask_of(status, "\nShdPnd:", masks.pending) &&
                     mask_of(status, "\nSigBlk:", masks.blocked) && mask_of(status, "\nSigIgn:", masks.ignored) &&
                     mask_of(status, "\nSigCgt:", masks.caught);
  return !known || is_leaving(masks);
}

}  // namespace sluice

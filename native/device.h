// The descriptors of one FUSE connection and the writes to them. A reply goes to the descriptor that its request was read
// from; every write is checked, and what the kernel did not take is told to `on_refused`, so that no caller is forgotten.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace sluice {

class Device {
 public:
  // Takes over `fd`. With `clone`, each further thread gets a descriptor of its own where /dev/fuse can be opened.
  Device(int fd, unsigned threads, bool clone);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // The descriptor of thread `index`.
  int descriptor(unsigned index) const { return descriptors_[index % descriptors_.size()]; }
  unsigned count() const { return static_cast<unsigned>(descriptors_.size()); }

  // The kernel did not take an answer though the caller waits for it: errno.
  std::function<void(int error)> on_refused;

  // Answers with a body, or with a positive errno. False when nobody waits for it (interrupted, or the connection ended).
  bool reply(unsigned index, uint64_t unique, std::span<const uint8_t> body) const;
  bool reply_error(unsigned index, uint64_t unique, int error) const;
  // Asks for an interrupt to be sent again, whichever descriptor its request was read from.
  void repeat_interrupt(uint64_t unique) const;
  // Returns 0 or an errno. May wait for locks of the kernel.
  int notify(int32_t code, std::span<const uint8_t> fixed, std::span<const uint8_t> name) const;

  // Ends the connection. With `in_use` each descriptor is replaced by one of /dev/null, so that a thread which hangs cannot
  // write into somebody else's file later.
  void disconnect(bool in_use);

 private:
  bool send(unsigned index, const iovec* parts, int count, bool with_body) const;

  std::vector<int> descriptors_;
  // Opened in time: at the end there may be no descriptor left.
  int null_;
};

}  // namespace sluice

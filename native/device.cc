#include "device.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "fuse_abi.h"

namespace sluice {
namespace {

// -1 where /dev/fuse may not be opened, or the kernel has no such call.
int clone_of(int fd) {
  const int clone = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (clone < 0) return -1;
  uint32_t source = static_cast<uint32_t>(fd);
  if (::ioctl(clone, fuse::kIoctlClone, &source) == 0) return clone;
  ::close(clone);
  return -1;
}

iovec part(const void* data, size_t bytes) { return {const_cast<void*>(data), bytes}; }

}  // namespace

Device::Device(int fd, unsigned threads, bool clone)
    : descriptors_{fd}, null_(::open("/dev/null", O_RDWR | O_CLOEXEC)) {
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  for (unsigned index = 1; clone && index < threads; ++index) {
    const int own = clone_of(fd);
    if (own < 0) break;
    descriptors_.push_back(own);
  }
  // All or none, so that each thread has either its own or the shared one.
  while (descriptors_.size() > 1 && descriptors_.size() < threads) {
    ::close(descriptors_.back());
    descriptors_.pop_back();
  }
}

Device::~Device() {
  for (int fd : descriptors_)
    if (fd >= 0) ::close(fd);
  if (null_ >= 0) ::close(null_);
}

void Device::disconnect(bool in_use) {
  for (int& fd : descriptors_) {
    if (in_use && null_ >= 0) {
      ::dup3(null_, fd, O_CLOEXEC);
    } else {
      ::close(fd);
      fd = -1;
    }
  }
  if (null_ >= 0) ::close(null_);
  null_ = -1;
}

bool Device::reply(unsigned index, uint64_t unique, std::span<const uint8_t> body) const {
  const fuse::OutHeader header{static_cast<uint32_t>(sizeof(fuse::OutHeader) + body.size()), 0, unique};
  const iovec parts[2] = {part(&header, sizeof header), part(body.data(), body.size())};
  return send(index, parts, body.empty() ? 1 : 2, true);
}

bool Device::reply_error(unsigned index, uint64_t unique, int error) const {
  const fuse::OutHeader header{sizeof(fuse::OutHeader), -error, unique};
  const iovec whole = part(&header, sizeof header);
  return send(index, &whole, 1, false);
}

bool Device::send(unsigned index, const iovec* parts, int count, bool with_body) const {
  size_t bytes = 0;
  for (int at = 0; at < count; ++at) bytes += parts[at].iov_len;
  ssize_t written;
  do {
    written = ::writev(descriptor(index), parts, count);
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(bytes)) return true;
  const int error = written < 0 ? errno : EMSGSIZE;
  // ENOENT: interrupted before it was taken, or the connection was aborted. Others: the connection is gone.
  if (error == ENOENT || error == ENODEV || error == EPIPE || error == ECONNRESET) return false;
  if (on_refused) on_refused(error);
  // The kernel keeps a request whose answer made no sense: its caller gets an error instead of waiting for ever.
  const auto* header = static_cast<const fuse::OutHeader*>(parts[0].iov_base);
  if (with_body) reply_error(index, header->unique, EIO);
  return false;
}

void Device::repeat_interrupt(uint64_t unique) const {
  // An interrupt has the number of its request, with bit 0 set.
  const fuse::OutHeader header{sizeof(fuse::OutHeader), -EAGAIN, unique | 1};
  for (unsigned index = 0; index < count(); ++index) {
    if (::write(descriptor(index), &header, sizeof header) == sizeof header) return;
  }
}

int Device::notify(int32_t code, std::span<const uint8_t> fixed, std::span<const uint8_t> name) const {
  static constexpr uint8_t kNul = 0;
  const size_t tail = name.empty() ? 0 : name.size() + 1;
  const fuse::OutHeader header{static_cast<uint32_t>(sizeof(fuse::OutHeader) + fixed.size() + tail), code, 0};
  const iovec parts[4] = {part(&header, sizeof header), part(fixed.data(), fixed.size()),
                          part(name.data(), name.size()), part(&kNul, 1)};
  const ssize_t written = ::writev(descriptor(0), parts, tail == 0 ? 2 : 4);
  return written < 0 ? errno : 0;
}

}  // namespace sluice

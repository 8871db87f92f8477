#include "events.h"

#include <cstring>

namespace sluice {
namespace {

size_t limit_of(EventKind kind) {
  switch (kind) {
    case EventKind::kReadEntered:
    case EventKind::kReadObserved:
      return EventQueue::kLossyBytesMax;
    case EventKind::kRequest:
      return EventQueue::kRequestBytesMax;
    default:
      return SIZE_MAX;
  }
}

}  // namespace

bool EventQueue::append(EventKind kind, std::span<const uint8_t> event, std::span<const uint8_t> extra) {
  const size_t bytes = (kHeaderBytes + event.size() + extra.size() + 7) / 8 * 8;
  std::lock_guard lock(mutex_);
  if (bytes > kRecordBytesMax || records_.size() - read_ + bytes > limit_of(kind)) {
    lost_ += kind != EventKind::kRequest;
    return false;
  }
  const bool was_empty = records_.empty();
  put(kind, event, extra, bytes);
  // Under the lock: `mute` returns only when no wake is under way.
  if (was_empty && wake_) wake_();
  return true;
}

void EventQueue::put(EventKind kind, std::span<const uint8_t> event, std::span<const uint8_t> extra, size_t bytes) {
  const size_t at = records_.size();
  records_.resize(at + bytes);
  const uint32_t head[2] = {static_cast<uint32_t>(bytes), static_cast<uint32_t>(kind)};
  std::memcpy(records_.data() + at, head, sizeof head);
  std::memcpy(records_.data() + at + sizeof head, event.data(), event.size());
  if (!extra.empty()) std::memcpy(records_.data() + at + sizeof head + event.size(), extra.data(), extra.size());
}

size_t EventQueue::drain(std::span<uint8_t> out) {
  std::lock_guard lock(mutex_);
  if (lost_ > 0) {
    const ProblemEvent problem{Problem::kEventsLost, 0, lost_};
    lost_ = 0;
    put(EventKind::kProblem, {reinterpret_cast<const uint8_t*>(&problem), sizeof problem}, {},
        kHeaderBytes + sizeof problem);
  }
  size_t filled = 0;
  while (read_ < records_.size()) {
    uint32_t bytes;
    std::memcpy(&bytes, records_.data() + read_, sizeof bytes);
    if (bytes > out.size() - filled) break;
    std::memcpy(out.data() + filled, records_.data() + read_, bytes);
    filled += bytes;
    read_ += bytes;
  }
  if (read_ == records_.size()) {
    records_.clear();
    read_ = 0;
    // What one burst needed is not kept for ever.
    if (records_.capacity() > kLossyBytesMax) std::vector<uint8_t>().swap(records_);
  } else if (read_ > records_.size() / 2) {
    // An event loop that is always a little behind: each byte is moved at most once for each that was drained.
    records_.erase(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(read_));
    read_ = 0;
  }
  return filled;
}

void EventQueue::mute() {
  std::lock_guard lock(mutex_);
  wake_ = nullptr;
}

}  // namespace sluice

// What JavaScript asks of a session: answers to the requests it was handed, news of local files, invalidations, figures.
// Never waits for the kernel or the disk, but for the short locks.
#include <cerrno>

#include "session.h"

namespace sluice {

Session::ReplyResult Session::reply(uint32_t slot, int error, std::span<const uint8_t> body) {
  std::shared_lock calls(calls_mutex_);
  const auto waiting = pending_.peek(slot);
  if (!waiting) return ReplyResult::kNoRequest;
  if (error == 0) {
    const Operation& operation = operation_of(waiting->opcode);
    const bool is_fixed = operation.known && operation.reply == Operation::Reply::kFixed;
    if (is_fixed ? body.size() != operation.reply_bytes : body.size() > waiting->reply_bytes_max)
      return ReplyResult::kWrongLength;
  }
  const auto request = pending_.take(slot);
  if (!request) return ReplyResult::kNoRequest;
  if (request->answered) return ReplyResult::kGone;
  const bool told = error != 0 ? device_.reply_error(request->device, request->unique, error)
                               : device_.reply(request->device, request->unique, body);
  return told ? ReplyResult::kTold : ReplyResult::kGone;
}

Session::ReplyResult Session::reply_open(uint32_t slot, uint64_t handle, std::shared_ptr<LocalFile> file, bool may_pass,
                                         bool keep_cache, OpenMode& mode) {
  std::shared_lock calls(calls_mutex_);
  mode = OpenMode::kGone;
  const auto waiting = pending_.peek(slot);
  if (!waiting || waiting->opcode != fuse::kOpen) return ReplyResult::kNoRequest;
  const auto request = pending_.take(slot);
  if (!request) return ReplyResult::kNoRequest;
  if (request->answered) return ReplyResult::kGone;
  // Before the reply: the first READ may come before it returns.
  const auto decision = open_files_.open(handle, request->node, std::move(file), may_pass);
  if (!decision) {
    device_.reply_error(request->device, request->unique, EIO);
    return ReplyResult::kNoRequest;
  }
  fuse::OpenOut out{handle, fuse::kOpenNoFlush, 0};
  if (decision->mode == OpenMode::kPassthrough) {
    // The kernel takes no flag about its cache here: it has none of this handle.
    out.open_flags |= fuse::kOpenPassthrough;
    out.backing_id = decision->backing_id;
  } else if (keep_cache) {
    out.open_flags |= fuse::kOpenKeepCache;
  }
  if (!device_.reply(request->device, request->unique, bytes_of(out))) {
    open_files_.release(handle);
    return ReplyResult::kGone;
  }
  mode = decision->mode;
  return ReplyResult::kTold;
}

bool Session::fail_read(uint64_t id, int error) {
  std::shared_lock calls(calls_mutex_);
  const auto read = parked_.take(id);
  if (!read) return false;
  end_read(*read, ReadResult::kFailed, error);
  return true;
}

void Session::file_published(const LocalFile& file) {
  std::shared_lock calls(calls_mutex_);
  auto ready = parked_.take_ready(file);
  if (ready.empty()) return;
  {
    std::lock_guard lock(woken_mutex_);
    if (!waker_ended_) {
      for (Read& read : ready) woken_.push_back(std::move(read));
      woken_signal_.notify_one();
      return;
    }
  }
  // Taken out just before the session ended the others.
  for (const Read& read : ready) end_read(read, ReadResult::kFailed, EIO);
}

void Session::file_ended(const LocalFile& file) {
  std::shared_lock calls(calls_mutex_);
  for (const Read& read : parked_.take_of(file)) end_read(read, ReadResult::kFailed, EIO);
}

void Session::invalidate_entry(uint64_t parent, std::string name) {
  std::lock_guard lock(notify_mutex_);
  notifications_.push_back({fuse::kNotifyInvalEntry, parent, std::move(name)});
  notify_signal_.notify_one();
}

void Session::invalidate_inode(uint64_t node) {
  std::lock_guard lock(notify_mutex_);
  notifications_.push_back({fuse::kNotifyInvalInode, node, {}});
  notify_signal_.notify_one();
}

SessionStats Session::stats() const {
  const auto get = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  const auto oldest = pending_.oldest();
  return {get(counters_.read_requests),
          get(counters_.reads_served),
          get(counters_.reads_failed),
          get(counters_.bytes_read),
          get(counters_.reads_parked),
          parked_.size(),
          get(counters_.requests),
          pending_.waiting(),
          open_files_.count(OpenMode::kCached),
          open_files_.count(OpenMode::kPassthrough),
          get(counters_.replies_refused),
          get(counters_.requests_malformed),
          oldest ? ms_since(*oldest) : 0};
}

}  // namespace sluice

#include "addon_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "addon_arguments.h"
#include "file_mapping.h"
#include "file_range.h"

namespace sluice {
namespace {

constexpr int64_t kPageBytes = 4096;

int descriptor(const Napi::CallbackInfo& info) { return static_cast<int>(integer(info, 0, 0, kInt32Max)); }

struct Range {
  uint64_t start, end;
};

// Arguments 1 and 2.
Range range_of(const Napi::CallbackInfo& info) {
  const int64_t end = integer(info, 2, 1, kSafeMax);
  return {static_cast<uint64_t>(integer(info, 1, 0, end - 1)), static_cast<uint64_t>(end)};
}

// What the mapping is called when its buffer was collected, or its environment ends; gone when it was given back before.
using Collected = std::weak_ptr<FileMapping>;

class ChecksumWorker : public Napi::AsyncWorker {
 public:
  // Takes the descriptor over.
  ChecksumWorker(Napi::Env env, int descriptor, Range range)
      : AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), descriptor_(descriptor), range_(range) {}
  ~ChecksumWorker() override { ::close(descriptor_); }

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override { error_ = checksum_range(descriptor_, range_.start, range_.end, crc_); }

  void OnOK() override {
    if (error_ == 0) deferred_.Resolve(Napi::Number::New(Env(), crc_));
    else deferred_.Reject(errno_error(Env(), "read", error_).Value());
  }

 private:
  Napi::Promise::Deferred deferred_;
  const int descriptor_;
  const Range range_;
  int error_ = 0;
  uint32_t crc_ = 0;
};

}  // namespace

Napi::Value lock_file_of(const Napi::CallbackInfo& info) {
  const int error = lock_file(descriptor(info));
  if (error != 0 && error != EWOULDBLOCK) throw errno_error(info.Env(), "flock", error);
  return Napi::Boolean::New(info.Env(), error == 0);
}

Napi::Value map_file(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const int64_t offset = integer(info, 1, 0, kSafeMax);
  const int64_t bytes = integer(info, 2, 1, kSafeMax);
  if (offset % kPageBytes != 0) throw Napi::RangeError::New(env, "argument 1 is not on a page boundary");
  int error = 0;
  auto mapping = FileMapping::map(descriptor(info), static_cast<uint64_t>(offset), static_cast<size_t>(bytes), error);
  if (!mapping) throw errno_error(env, "mmap", error);
  FileMappings::shared().add(mapping);
  auto* collected = new Collected(mapping);
  napi_value buffer = nullptr;
  const auto finalize = [](napi_env, void*, void* hint) {
    auto* collected = static_cast<Collected*>(hint);
    if (const auto mapping = collected->lock()) FileMappings::shared().remove(*mapping);
    delete collected;
  };
  const napi_status status =
      napi_create_external_arraybuffer(env, mapping->data(), mapping->bytes(), finalize, collected, &buffer);
  if (status == napi_ok) return {env, buffer};
  finalize(env, nullptr, collected);
  throw Napi::Error::New(env, "this runtime has no buffers of memory that is not its own");
}

void unmap_file(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsArrayBuffer()) throw Napi::TypeError::New(env, "argument 0 must be an ArrayBuffer");
  auto buffer = info[0].As<Napi::ArrayBuffer>();
  const auto mapping = FileMappings::shared().holding(buffer.Data());
  if (!mapping) throw Napi::RangeError::New(env, "argument 0 is not mapped");
  if (napi_detach_arraybuffer(env, buffer) != napi_ok) throw Napi::Error::New(env, "argument 0 cannot be detached");
  FileMappings::shared().remove(*mapping);
}

void punch_hole_in(const Napi::CallbackInfo& info) {
  const Range range = range_of(info);
  const int error = punch_hole(descriptor(info), range.start, range.end);
  if (error != 0) throw errno_error(info.Env(), "fallocate", error);
}

Napi::Value checksum_range_of(const Napi::CallbackInfo& info) {
  const Range range = range_of(info);
  const int own = ::fcntl(descriptor(info), F_DUPFD_CLOEXEC, 3);
  if (own < 0) throw errno_error(info.Env(), "dup", errno);
  auto* worker = new ChecksumWorker(info.Env(), own, range);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace sluice

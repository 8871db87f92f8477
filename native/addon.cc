// The face of the native part to JavaScript, as src/native.ts describes it. Converts, calls, throws; may be loaded by any
// number of worker threads. What belongs to one environment is in Environment and ends with it; local files belong to the
// process.
#include <napi.h>

#include "addon_arguments.h"
#include "addon_checksums.h"
#include "addon_environment.h"
#include "addon_files.h"
#include "addon_memory.h"
#include "addon_session.h"
#include "mounting.h"

namespace sluice {
namespace {

// With every change of src/native.ts.
constexpr int kAddonInterface = 3;

class MountWorker : public Napi::AsyncWorker {
 public:
  MountWorker(Napi::Env env, std::string source, std::string mountpoint, std::string options)
      : AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        source_(std::move(source)),
        mountpoint_(std::move(mountpoint)),
        options_(std::move(options)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override { result_ = mount_fuse(source_, mountpoint_, options_); }

  void OnOK() override {
    if (result_ >= 0) deferred_.Resolve(Napi::Number::New(Env(), result_));
    else deferred_.Reject(errno_error(Env(), "mount", -result_).Value());
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::string source_, mountpoint_, options_;
  int result_ = 0;
};

Napi::Value mount(const Napi::CallbackInfo& info) {
  auto* worker = new MountWorker(info.Env(), text(info, 0), text(info, 1), text(info, 2));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value make_socket_pair(const Napi::CallbackInfo& info) {
  int sockets[2];
  const int error = socket_pair(sockets);
  if (error < 0) throw errno_error(info.Env(), "socketpair", -error);
  auto pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0u, sockets[0]);
  pair.Set(1u, sockets[1]);
  return pair;
}

Napi::Value receive(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), receive_descriptor(static_cast<int>(integer(info, 0, 0, kInt32Max))));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment();
  environment->session_class = Napi::Persistent(define_native_session(env));
  env.SetInstanceData(environment);
  env.AddCleanupHook(
      [](Environment* ending) {
        for (const auto& [session, end] : ending->sessions) end();
      },
      environment);
  exports.Set("addonInterface", kAddonInterface);
  exports.Set("mount", Napi::Function::New<mount>(env, "mount"));
  exports.Set("socketPair", Napi::Function::New<make_socket_pair>(env, "socketPair"));
  exports.Set("receiveDescriptor", Napi::Function::New<receive>(env, "receiveDescriptor"));
  exports.Set("openFile", Napi::Function::New<open_file>(env, "openFile"));
  exports.Set("attachFile", Napi::Function::New<attach_file>(env, "attachFile"));
  exports.Set("filePublished", Napi::Function::New<file_published>(env, "filePublished"));
  exports.Set("revokeFile", Napi::Function::New<revoke_file>(env, "revokeFile"));
  exports.Set("closeFile", Napi::Function::New<close_file>(env, "closeFile"));
  exports.Set("lockFile", Napi::Function::New<lock_file_of>(env, "lockFile"));
  exports.Set("mapFile", Napi::Function::New<map_file>(env, "mapFile"));
  exports.Set("unmapFile", Napi::Function::New<unmap_file>(env, "unmapFile"));
  exports.Set("punchHole", Napi::Function::New<punch_hole_in>(env, "punchHole"));
  exports.Set("checksumRange", Napi::Function::New<checksum_range_of>(env, "checksumRange"));
  exports.Set("crc32c", Napi::Function::New<crc32c_of>(env, "crc32c"));
  exports.Set("crc64nvme", Napi::Function::New<crc64nvme_of>(env, "crc64nvme"));
  exports.Set("startSession", Napi::Function::New<start_session>(env, "startSession"));
  return exports;
}

}  // namespace
}  // namespace sluice

namespace {
Napi::Object Init(Napi::Env env, Napi::Object exports) { return sluice::initialize(env, exports); }
}  // namespace
NODE_API_MODULE(sluice, Init)

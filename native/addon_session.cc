#include "addon_session.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <system_error>

#include "addon_arguments.h"
#include "addon_environment.h"
#include "addon_files.h"
#include "caller.h"
#include "session.h"

namespace sluice {
namespace {

// Batches handed to JavaScript before its other work gets a turn.
constexpr int kBatchesMax = 8;

class NativeSession : public Napi::ObjectWrap<NativeSession> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "NativeSession",
                       {InstanceMethod("reply", &NativeSession::reply), InstanceMethod("replyOpen", &NativeSession::reply_open),
                        InstanceMethod("failRead", &NativeSession::fail_read),
                        InstanceMethod("invalidateEntry", &NativeSession::invalidate_entry),
                        InstanceMethod("invalidateInode", &NativeSession::invalidate_inode),
                        InstanceMethod("stats", &NativeSession::stats), InstanceMethod("stop", &NativeSession::stop)});
  }

  explicit NativeSession(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    const Napi::Env env = info.Env();
    if (!info[0].IsObject()) throw Napi::TypeError::New(env, "options must be an object");
    const auto options = info[0].As<Napi::Object>();
    const auto number = [&](const char* name, int64_t min, int64_t max) {
      const Napi::Value value = options.Get(name);
      const double got = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
      if (!(got >= static_cast<double>(min) && got <= static_cast<double>(max)))
        throw Napi::RangeError::New(env, std::string("option ") + name + " is missing or out of range");
      return static_cast<int64_t>(got);
    };
    const auto flag = [&](const char* name) { return options.Get(name).ToBoolean().Value(); };
    const auto buffer = [&](const char* name, size_t bytes_min) {
      const Napi::Value value = options.Get(name);
      if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array ||
          value.As<Napi::TypedArray>().ByteLength() < bytes_min)
        throw Napi::TypeError::New(env, std::string("option ") + name + " must be a Uint8Array, large enough");
      return value.As<Napi::Uint8Array>();
    };
    SessionOptions session;
    const int descriptor = static_cast<int>(number("descriptor", 0, kInt32Max));
    session.threads = static_cast<unsigned>(number("threads", 1, 16));
    session.clone_descriptors = flag("cloneDescriptors");
    session.read_bytes_max = static_cast<uint32_t>(number("readBytesMax", 128 * 1024, 1 << 20)) / 4096 * 4096;
    session.read_deadline = std::chrono::milliseconds(number("readDeadlineMs", 1, kInt32Max));
    session.passthrough = flag("passthrough");
    session.trace_reads = flag("traceReads");
    session.caller_leaves = caller_is_leaving;
    auto events = buffer("events", 2u << 20);
    auto replies = buffer("replies", session.read_bytes_max);
    if (!options.Get("onEvents").IsFunction()) throw Napi::TypeError::New(env, "option onEvents must be a function");
    events_ = std::span(events.Data(), events.ByteLength());
    replies_ = std::span(replies.Data(), replies.ByteLength());
    buffers_[0] = Napi::Persistent(events.As<Napi::Object>());
    buffers_[1] = Napi::Persistent(replies.As<Napi::Object>());
    on_events_ = Napi::Persistent(options.Get("onEvents").As<Napi::Function>());
    make_waker(env);
    session.wake = [waker = waker_] { napi_call_threadsafe_function(waker, nullptr, napi_tsfn_nonblocking); };
    try {
      // A duplicate: when the start fails the descriptor is the caller's still.
      session.descriptor = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
      if (session.descriptor < 0) throw std::system_error(errno, std::generic_category(), "descriptor");
      session_ = Session::start(std::move(session));
      ::close(descriptor);
    } catch (const std::exception& error) {
      napi_release_threadsafe_function(waker_, napi_tsfn_abort);
      throw Napi::Error::New(env, std::string("the session cannot start: ") + error.what());
    }
    environment_of(env).sessions.emplace(this, [this] { end_with_environment(); });
    // Lives until `stop` is done, whether or not JavaScript holds it.
    Ref();
  }

 private:
  friend class StopWorker;

  // Nothing may be called in it any more.
  void end_with_environment() {
    session_->events().mute();
    session_->stop();
  }

  void make_waker(Napi::Env env) {
    const auto call = [](napi_env env, napi_value, void* context, void*) {
      if (env != nullptr) static_cast<NativeSession*>(context)->hand_over(env);
    };
    const napi_status status =
        napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, "sluice"), 0, 1, nullptr, nullptr, this,
                                        call, &waker_);
    if (status != napi_ok) throw Napi::Error::New(env, "no way to wake the event loop");
  }

  void hand_over(Napi::Env env) {
    Napi::HandleScope scope(env);
    environment_of(env).delete_released(env);
    for (int batch = 0; batch < kBatchesMax; ++batch) {
      const size_t bytes = session_->events().drain(events_);
      if (bytes == 0) return;
      try {
        on_events_.Call({Napi::Number::New(env, static_cast<double>(bytes))});
      } catch (const Napi::Error& error) {
        napi_fatal_exception(env, error.Value());
      }
    }
    // More is there, or may be: what waits in the event loop has its turn first.
    if (waker_ != nullptr) napi_call_threadsafe_function(waker_, nullptr, napi_tsfn_nonblocking);
  }

  void finish(Napi::Env env) {
    if (finished_) return;
    finished_ = true;
    session_->events().mute();
    hand_over(env);
    napi_release_threadsafe_function(waker_, napi_tsfn_release);
    waker_ = nullptr;
    environment_of(env).sessions.erase(this);
    Unref();
  }

  Napi::Value outcome(const Napi::CallbackInfo& info, Session::ReplyResult result) {
    switch (result) {
      case Session::ReplyResult::kTold:
        return Napi::Boolean::New(info.Env(), true);
      case Session::ReplyResult::kGone:
        return Napi::Boolean::New(info.Env(), false);
      case Session::ReplyResult::kNoRequest:
        throw Napi::Error::New(info.Env(), "the slot holds no request of this kind: it was answered before");
      case Session::ReplyResult::kWrongLength:
        break;
    }
    throw Napi::RangeError::New(info.Env(), "the reply's length does not fit its operation");
  }

  Napi::Value reply(const Napi::CallbackInfo& info) {
    const auto slot = static_cast<uint32_t>(integer(info, 0, 0, kUint32Max));
    const auto error = static_cast<int>(integer(info, 1, 0, kErrnoMax));
    const auto bytes = static_cast<size_t>(integer(info, 2, 0, static_cast<int64_t>(replies_.size())));
    return outcome(info, session_->reply(slot, error, replies_.first(bytes)));
  }

  Napi::Value reply_open(const Napi::CallbackInfo& info) {
    const auto slot = static_cast<uint32_t>(integer(info, 0, 0, kUint32Max));
    const auto handle = static_cast<uint64_t>(integer(info, 1, 0, kSafeMax));
    auto file = file_of(info, 2);
    const auto flags = static_cast<uint32_t>(integer(info, 3, 0, 3));
    OpenMode mode;
    const auto result = session_->reply_open(slot, handle, std::move(file), (flags & 1) != 0, (flags & 2) != 0, mode);
    if (result != Session::ReplyResult::kGone) outcome(info, result);
    return Napi::Number::New(info.Env(), static_cast<int>(mode));
  }

  Napi::Value fail_read(const Napi::CallbackInfo& info) {
    const auto read = static_cast<uint64_t>(integer(info, 0, 1, kSafeMax));
    return Napi::Boolean::New(info.Env(), session_->fail_read(read, static_cast<int>(integer(info, 1, 1, kErrnoMax))));
  }

  void invalidate_entry(const Napi::CallbackInfo& info) {
    const auto parent = static_cast<uint64_t>(integer(info, 0, 1, kSafeMax));
    if (!info[1].IsTypedArray()) throw Napi::TypeError::New(info.Env(), "argument 1 must be a Uint8Array");
    const auto name = info[1].As<Napi::Uint8Array>();
    session_->invalidate_entry(parent, {reinterpret_cast<const char*>(name.Data()), name.ByteLength()});
  }

  void invalidate_inode(const Napi::CallbackInfo& info) {
    session_->invalidate_inode(static_cast<uint64_t>(integer(info, 0, 1, kSafeMax)));
  }

  void stats(const Napi::CallbackInfo& info) {
    const SessionStats stats = session_->stats();
    const double values[] = {static_cast<double>(stats.read_requests),    static_cast<double>(stats.reads_served),
                             static_cast<double>(stats.reads_failed),     static_cast<double>(stats.bytes_read),
                             static_cast<double>(stats.reads_parked),     static_cast<double>(stats.reads_waiting),
                             static_cast<double>(stats.requests),         static_cast<double>(stats.requests_waiting),
                             static_cast<double>(stats.handles_cached),   static_cast<double>(stats.handles_passthrough),
                             static_cast<double>(stats.replies_refused),  static_cast<double>(stats.requests_malformed),
                             stats.oldest_request_ms};
    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
        info[0].As<Napi::TypedArray>().ByteLength() < sizeof values)
      throw Napi::TypeError::New(info.Env(), "argument 0 must be a Float64Array, long enough");
    std::memcpy(info[0].As<Napi::Float64Array>().Data(), values, sizeof values);
  }

  Napi::Value stop(const Napi::CallbackInfo& info);

  std::shared_ptr<Session> session_;
  std::span<uint8_t> events_, replies_;
  Napi::ObjectReference buffers_[2];
  Napi::FunctionReference on_events_;
  napi_threadsafe_function waker_ = nullptr;
  bool finished_ = false;
};

class StopWorker : public Napi::AsyncWorker {
 public:
  StopWorker(Napi::Env env, NativeSession& session)
      : AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), session_(session) {
    session_.Ref();
  }

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override { session_.session_->stop(); }

  void OnOK() override {
    session_.finish(Env());
    deferred_.Resolve(Env().Undefined());
    session_.Unref();
  }

 private:
  Napi::Promise::Deferred deferred_;
  NativeSession& session_;
};

Napi::Value NativeSession::stop(const Napi::CallbackInfo& info) {
  auto* worker = new StopWorker(info.Env(), *this);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace

Napi::Function define_native_session(Napi::Env env) { return NativeSession::define(env); }

Napi::Value start_session(const Napi::CallbackInfo& info) {
  return environment_of(info.Env()).session_class.New({info[0]});
}

}  // namespace sluice

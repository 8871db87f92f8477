#include "addon_files.h"

#include "addon_arguments.h"
#include "addon_environment.h"
#include "file_mapping.h"
#include "session.h"

namespace sluice {
namespace {

// Keeps the memory of argument 0 until it is let go of, on whichever thread.
std::shared_ptr<void> keep_alive(const Napi::CallbackInfo& info, const void* memory) {
  // A mapping is held itself: JavaScript may detach its buffer.
  if (auto mapping = FileMappings::shared().holding(memory)) return mapping;
  const Napi::Env env = info.Env();
  napi_ref reference = nullptr;
  if (napi_create_reference(env, info[0], 1, &reference) != napi_ok) throw Napi::Error::New(env, "no reference");
  const std::weak_ptr<Released> released = environment_of(env).released;
  return {reference, [released](void* held) {
            // Gone with its environment otherwise.
            const auto list = released.lock();
            if (!list) return;
            std::lock_guard lock(list->mutex);
            list->references.push_back(static_cast<napi_ref>(held));
          }};
}

}  // namespace

Napi::Value open_file(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  environment_of(env).delete_released(env);
  const auto memory = elements<int32_t>(info, 0);
  auto* bytes = reinterpret_cast<uint8_t*>(memory.data());
  const auto file = LocalFiles::shared().open(bytes, memory.size_bytes(), keep_alive(info, bytes));
  if (!file) throw Napi::RangeError::New(env, "argument 0 is no availability");
  return Napi::Number::New(env, file->id);
}

std::shared_ptr<LocalFile> file_of(const Napi::CallbackInfo& info, size_t at) {
  auto file = LocalFiles::shared().find(static_cast<FileId>(integer(info, at, 1, kUint32Max)));
  if (!file) throw Napi::RangeError::New(info.Env(), "argument " + std::to_string(at) + " is no open file");
  return file;
}

void attach_file(const Napi::CallbackInfo& info) {
  const auto file = file_of(info, 0);
  const int error = file->attach(static_cast<int>(integer(info, 1, 0, kInt32Max)));
  if (error != 0) throw errno_error(info.Env(), "attach", error);
}

void file_published(const Napi::CallbackInfo& info) {
  // A thread that writes into the file may not have heard yet that it was closed.
  const auto file = LocalFiles::shared().find(static_cast<FileId>(integer(info, 0, 1, kUint32Max)));
  if (!file) return;
  for (const auto& session : Session::running()) session->file_published(*file);
}

void revoke_file(const Napi::CallbackInfo& info) {
  const auto file = file_of(info, 0);
  file->revoke();
  for (const auto& session : Session::running()) session->file_ended(*file);
}

void close_file(const Napi::CallbackInfo& info) {
  const auto file = LocalFiles::shared().close(static_cast<FileId>(integer(info, 0, 1, kUint32Max)));
  if (!file) throw Napi::RangeError::New(info.Env(), "argument 0 is no open file");
  for (const auto& session : Session::running()) session->file_ended(*file);
}

}  // namespace sluice

// What belongs to one environment (the main thread's or a worker's) and ends with it.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace sluice {

// References that threads let go of; deleted by the next call of their environment.
struct Released {
  std::mutex mutex;
  std::vector<napi_ref> references;
};

struct Environment {
  std::shared_ptr<Released> released = std::make_shared<Released>();
  // How each session that runs here is ended.
  std::unordered_map<const void*, std::function<void()>> sessions;
  Napi::FunctionReference session_class;

  void delete_released(napi_env env) {
    std::lock_guard lock(released->mutex);
    for (const napi_ref reference : released->references) napi_delete_reference(env, reference);
    released->references.clear();
  }
};

inline Environment& environment_of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

}  // namespace sluice

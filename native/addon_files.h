// Local files, as src/native.ts names what may be done with them.
#pragma once

#include <napi.h>

#include <memory>

#include "local_file.h"

namespace sluice {

Napi::Value open_file(const Napi::CallbackInfo& info);
void attach_file(const Napi::CallbackInfo& info);
void file_published(const Napi::CallbackInfo& info);
void revoke_file(const Napi::CallbackInfo& info);
void close_file(const Napi::CallbackInfo& info);

// The open file that argument `at` names. @throws RangeError
std::shared_ptr<LocalFile> file_of(const Napi::CallbackInfo& info, size_t at);

}  // namespace sluice

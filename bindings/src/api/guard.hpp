#pragma once

#include <exception>
#include <new>
#include <string>

#include "vljepa.h"
#include "vljepa/error.hpp"

namespace vljepa {

/// Of the calling thread; see vljepa_last_error().
void set_last_error(const std::string& what);

/// Runs what the C API does. Whatever it throws becomes a status, and its text vljepa_last_error().
template <typename F>
vljepa_status guarded(F&& work) noexcept {
    vljepa_status status = VLJEPA_INTERNAL_ERROR;
    constexpr const char* what = "an unknown error";
    try {
        try {
            work();
            return VLJEPA_OK;
        } catch (const std::exception& error) {
            if (dynamic_cast<const InputError*>(&error) != nullptr) status = VLJEPA_INPUT_ERROR;
            if (dynamic_cast<const FrameError*>(&error) != nullptr) status = VLJEPA_FRAME_ERROR;
            if (dynamic_cast<const BundleError*>(&error) != nullptr) status = VLJEPA_BUNDLE_ERROR;
            if (dynamic_cast<const EngineError*>(&error) != nullptr) status = VLJEPA_ENGINE_ERROR;
            if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) status = VLJEPA_MEMORY_ERROR;
            set_last_error(error.what());
        } catch (...) {
            set_last_error(what);
        }
    } catch (...) {  // there is no memory for the text
        status = VLJEPA_MEMORY_ERROR;
    }
    return status;
}

/// Throws InputError where a pointer that must be given is NULL.
template <typename T>
T& required(T* pointer, const char* name) {
    if (pointer == nullptr) throw InputError(std::string(name) + " must not be NULL");
    return *pointer;
}

}  // namespace vljepa

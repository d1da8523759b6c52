// Launches the cubins of `vljepa kernels build` through the CUDA driver API: no CUDA runtime, no Triton, no Python.
//
//     vljepa::kernels::Kernel kernel(vljepa::kernels::all[1], "folder");
//     kernel.launch(stream, {grid_x, grid_y, grid_z}, q, k, ..., tokens, scale);
//
// Arguments go in the order and with the types that kernels.json lists: CUdeviceptr, int32_t, float. A current context
// is needed. Compiled against the toolkit's headers in tests; never run on a GPU.
#pragma once

#include <cuda.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace vljepa::kernels {

// One kernel of the bundle. `hidden` null pointers follow its `parameters` arguments.
struct Description {
    const char* name;
    const char* file;
    const char* entry;
    unsigned shared_bytes;
    unsigned threads;
    unsigned parameters;
    unsigned hidden;
};

inline void check(CUresult result, const std::string& what) {
    if (result == CUDA_SUCCESS) return;
    const char* text = nullptr;
    cuGetErrorString(result, &text);
    throw std::runtime_error(what + ": " + (text ? text : "unknown CUDA error"));
}

// A loaded cubin. Movable, not copyable; unloads itself.
class Kernel {
public:
    Kernel(const Description& description, const std::string& folder) : description_(description) {
        const std::string path = folder + "/" + description.file;
        check(cuModuleLoad(&module_, path.c_str()), path);
        try {
            check(cuModuleGetFunction(&function_, module_, description.entry), description.entry);
            // More than 48 kB of dynamic shared memory must be asked for.
            check(cuFuncSetAttribute(function_, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                     static_cast<int>(description.shared_bytes)),
                  description.entry);
        } catch (...) {
            cuModuleUnload(module_);
            throw;
        }
    }
    Kernel(Kernel&& other) noexcept
        : description_(other.description_), module_(other.module_), function_(other.function_) {
        other.module_ = nullptr;
    }
    Kernel(const Kernel&) = delete;
    Kernel& operator=(const Kernel&) = delete;
    Kernel& operator=(Kernel&&) = delete;
    ~Kernel() {
        if (module_) cuModuleUnload(module_);
    }

    template <typename... Arguments>
    void launch(CUstream stream, const std::array<unsigned, 3>& grid, Arguments... arguments) const {
        static_assert(((std::is_same_v<Arguments, CUdeviceptr> || std::is_same_v<Arguments, std::int32_t> ||
                        std::is_same_v<Arguments, float>) && ...),
                      "arguments are CUdeviceptr, int32_t or float");
        if (sizeof...(Arguments) != description_.parameters || description_.hidden > kMostHidden)
            throw std::invalid_argument(std::string(description_.name) + " takes " +
                                        std::to_string(description_.parameters) + " arguments");
        CUdeviceptr null = 0;
        void* pointers[sizeof...(Arguments) + kMostHidden] = {static_cast<void*>(&arguments)...};
        for (unsigned i = 0; i < description_.hidden; ++i) pointers[sizeof...(Arguments) + i] = &null;
        check(cuLaunchKernel(function_, grid[0], grid[1], grid[2], description_.threads, 1, 1,
                             description_.shared_bytes, stream, pointers, nullptr),
              description_.name);
    }

private:
    static constexpr unsigned kMostHidden = 4;
    Description description_;
    CUmodule module_ = nullptr;
    CUfunction function_ = nullptr;
};

}  // namespace vljepa::kernels

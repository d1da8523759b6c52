#pragma once

// Arrays in and out of the Python module, and locks.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "vljepa/error.hpp"

namespace py = pybind11;

using Floats = py::array_t<float, py::array::c_style>;

/// What an object is, for messages.
inline std::string describe(const py::object& object) {
    if (!py::isinstance<py::array>(object)) return "a " + std::string(py::str(py::type::of(object).attr("__name__")));
    std::string text = std::string(py::str(object.attr("dtype"))) + " " + std::string(py::str(object.attr("shape")));
    const auto array = py::reinterpret_borrow<py::array>(object);
    return (array.flags() & py::array::c_style) != 0 ? text : text + ", not C-contiguous";
}

/// The caller's memory, never a copy. Throws InputError.
inline Floats as_floats(const py::object& object, py::ssize_t dimensions, const std::string& wanted) {
    if (!py::isinstance<Floats>(object) || py::reinterpret_borrow<py::array>(object).ndim() != dimensions) {
        throw vljepa::InputError("embedding is " + describe(object) + "; pass a C-contiguous float32 array of shape " +
                                 wanted);
    }
    return py::reinterpret_borrow<Floats>(object);
}

/// One row of numbers, of `width` where that isn't 0. Throws InputError.
inline Floats as_embedding(const py::object& object, std::size_t width) {
    if (py::isinstance<Floats>(object)) {
        Floats array = py::reinterpret_borrow<Floats>(object);
        if (array.ndim() == 1 && (width == 0 || static_cast<std::size_t>(array.size()) == width)) return array;
    }
    throw vljepa::InputError("embedding is " + describe(object) + "; pass a C-contiguous float32 array of shape (" +
                             (width == 0 ? "width" : std::to_string(width)) + ",)");
}

template <typename T>
py::array_t<T> to_array(const std::vector<T>& values) {
    return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

/// A C++ object behind a lock, since some of its methods run without the GIL, and Python may have none.
template <typename T>
struct Locked {
    template <typename... Args>
    explicit Locked(Args&&... args) : object(std::forward<Args>(args)...) {}

    /// For what may take long.
    template <typename F>
    auto with(F&& f) {
        py::gil_scoped_release release;
        const std::lock_guard<std::mutex> lock(mutex);
        return f(object);
    }

    /// For what takes less time than another thread may hold the GIL.
    template <typename F>
    auto at_once(F&& f) {
        const std::lock_guard<std::mutex> lock(mutex);
        return f(object);
    }

    T object;
    std::mutex mutex;
};

/// Adds what streams are made of.
void add_streams(py::module_& m);

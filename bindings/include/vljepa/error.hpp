#pragma once

#include <stdexcept>
#include <string>

namespace vljepa {

/// An argument is not one of the allowed values. The text says what was wrong and what is allowed.
class InputError : public std::invalid_argument {
  public:
    explicit InputError(const std::string& what) : std::invalid_argument(what) {}
};

/// A frame is not what the model takes: no pixels, too many of them, or a stride that is too short.
class FrameError : public std::invalid_argument {
  public:
    explicit FrameError(const std::string& what) : std::invalid_argument(what) {}
};

/// A bundle, or a file that belongs to one, is missing, altered, hostile or broken. `file()` is its name.
class BundleError : public std::runtime_error {
  public:
    BundleError(const std::string& file, const std::string& reason)
        : std::runtime_error(file + ": " + reason), file_(file) {}

    const std::string& file() const { return file_; }

  private:
    std::string file_;
};

/// An engine can't compile or run a graph, or what a graph gives can't be used. The text names the graph.
class EngineError : public std::runtime_error {
  public:
    explicit EngineError(const std::string& what) : std::runtime_error(what) {}
};

}  // namespace vljepa

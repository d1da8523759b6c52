#pragma once

#include <stdexcept>
#include <string>

namespace vljepa {

/// An argument is not one of the allowed values. The text says what was wrong and what is allowed.
class InputError : public std::invalid_argument {
  public:
    explicit InputError(const std::string& what) : std::invalid_argument(what) {}
};

}  // namespace vljepa

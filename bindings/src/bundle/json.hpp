#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace vljepa {

/// A JSON value. Integers and other numbers are kept apart, as the manifest's rules are about one or the other.
class Json {
  public:
    using List = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>;  // in the order of the text; each key once

    Json() = default;
    template <typename T>
    explicit Json(T value) : value_(std::move(value)) {}

    bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
    const bool* boolean() const { return std::get_if<bool>(&value_); }
    const std::int64_t* integer() const { return std::get_if<std::int64_t>(&value_); }
    const double* real() const { return std::get_if<double>(&value_); }
    const std::string* text() const { return std::get_if<std::string>(&value_); }
    const List* list() const { return std::get_if<List>(&value_); }
    const Object* object() const { return std::get_if<Object>(&value_); }

    /// The value of a key, or nullptr where there is none or this is no object.
    const Json* find(std::string_view key) const;
    /// The value as JSON, shortened, for messages.
    std::string shown() const;

  private:
    std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Object> value_;
};

/// Reads a JSON text (RFC 8259) in UTF-8, strictly: no NaN, no number that is infinite or over 64 bits, no key twice, no
/// half of a surrogate pair, and no more than 32 levels. Throws std::runtime_error that says what is wrong.
Json parse_json(std::string_view text);

}  // namespace vljepa

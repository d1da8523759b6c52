#include "bundle/fields.hpp"

#include <algorithm>

#include "vljepa/error.hpp"
#include "bundle/versions.hpp"

namespace vljepa {

namespace {

std::size_t characters(const std::string& text) {
    const auto starts = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts));
}

}  // namespace

void refuse(const std::string& where, const std::string& reason) {
    throw BundleError(kManifestFile, where.empty() ? reason : where + ": " + reason);
}

std::int64_t as_integer(const Json& value, const std::string& where, std::int64_t low, std::int64_t high) {
    const std::int64_t* found = value.integer();
    if (found == nullptr || *found < low || *found > high) {
        refuse(where, "must be an integer, " + std::to_string(low) + " to " + std::to_string(high) + ", got " +
                          value.shown());
    }
    return *found;
}

double as_number(const Json& value, const std::string& where, double low, double high) {
    const std::int64_t* integer = value.integer();
    const double* real = value.real();
    const double found = integer != nullptr ? static_cast<double>(*integer) : real != nullptr ? *real : low - 1.0;
    if ((integer == nullptr && real == nullptr) || found < low || found > high) {
        refuse(where, "must be a number, " + Json(low).shown() + " to " + Json(high).shown() + ", got " + value.shown());
    }
    return found;
}

std::string as_text(const Json& value, const std::string& where, std::size_t least, std::size_t most) {
    const std::string* found = value.text();
    if (found == nullptr || characters(*found) < least || characters(*found) > most) {
        refuse(where, "must be a text of " + std::to_string(least) + " to " + std::to_string(most) +
                          " characters, got " + value.shown());
    }
    return *found;
}

const Json::List& as_list(const Json& value, const std::string& where, std::size_t least, std::size_t most) {
    const Json::List* found = value.list();
    if (found == nullptr || found->size() < least || found->size() > most) {
        refuse(where, "must be a list of " + std::to_string(least) + " to " + std::to_string(most) + ", got " +
                          value.shown());
    }
    return *found;
}

const Json::Object& as_object(const Json& value, const std::string& where) {
    if (value.object() == nullptr) refuse(where, "must be an object, got " + value.shown());
    return *value.object();
}

Fields::Fields(const Json& value, std::string where) : members_(as_object(value, where)), where_(std::move(where)) {}

std::string Fields::at(std::string_view key) const {
    return where_.empty() ? std::string(key) : where_ + "." + std::string(key);
}

const Json& Fields::need(std::string_view key) {
    const Json* found = may(key);
    if (found == nullptr) refuse(at(key), "Field required");
    return *found;
}

const Json* Fields::may(std::string_view key, bool or_null) {
    asked_.emplace(key);
    for (const auto& [name, value] : members_) {
        if (name == key) return or_null && value.is_null() ? nullptr : &value;
    }
    return nullptr;
}

std::int64_t Fields::integer(std::string_view key, std::int64_t low, std::int64_t high) {
    return as_integer(need(key), at(key), low, high);
}

double Fields::number(std::string_view key, double low, double high) { return as_number(need(key), at(key), low, high); }

std::string Fields::text(std::string_view key, std::size_t least, std::size_t most) {
    return as_text(need(key), at(key), least, most);
}

std::optional<std::string> Fields::maybe_text(std::string_view key) {
    const Json* found = may(key, true);
    if (found == nullptr) return std::nullopt;
    return as_text(*found, at(key), 0, static_cast<std::size_t>(-1));
}

std::size_t Fields::choice(std::string_view key, const std::vector<std::string>& choices) {
    const Json& value = need(key);
    std::string wanted;
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (value.text() != nullptr && *value.text() == choices[i]) return i;
        wanted += (i == 0 ? "'" : i + 1 == choices.size() ? " or '" : ", '") + choices[i] + "'";
    }
    refuse(at(key), "must be " + wanted + ", got " + value.shown());
}

void Fields::done() const {
    std::string unknown;
    for (const auto& [name, value] : members_) {
        if (asked_.find(name) == asked_.end()) unknown += (unknown.empty() ? "" : ", ") + at(name);
    }
    if (!unknown.empty()) {
        refuse("", std::string("needs vljepa-edge later than ") + kReads + ", which does not know " + unknown +
                       "; install a newer libvljepa, or remove the unknown");
    }
}

}  // namespace vljepa

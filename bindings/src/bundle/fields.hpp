#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/json.hpp"

namespace vljepa {

/// Throws BundleError of the manifest: "`where`: `reason`".
[[noreturn]] void refuse(const std::string& where, const std::string& reason);

/// What a value must be. `where` names it in messages. All throw BundleError.
std::int64_t as_integer(const Json& value, const std::string& where, std::int64_t low, std::int64_t high);
double as_number(const Json& value, const std::string& where, double low, double high);
std::string as_text(const Json& value, const std::string& where, std::size_t least, std::size_t most);
const Json::List& as_list(const Json& value, const std::string& where, std::size_t least, std::size_t most);
const Json::Object& as_object(const Json& value, const std::string& where);

/// The members of a JSON object, asked for by name. Those that nobody asked for are unknown: see done().
class Fields {
  public:
    Fields(const Json& value, std::string where);

    /// The name of a member in messages: "video.fps".
    std::string at(std::string_view key) const;
    /// The member, or a BundleError that it is required.
    const Json& need(std::string_view key);
    /// The member, or nullptr where it is absent. null counts as absent only if `or_null`.
    const Json* may(std::string_view key, bool or_null = false);

    std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high);
    double number(std::string_view key, double low, double high);
    std::string text(std::string_view key, std::size_t least = 1, std::size_t most = 10'000);
    std::optional<std::string> maybe_text(std::string_view key);
    /// Which of `choices` the member is.
    std::size_t choice(std::string_view key, const std::vector<std::string>& choices);

    /// Throws BundleError for the members that nobody asked for.
    void done() const;

  private:
    const Json::Object& members_;
    std::string where_;
    std::set<std::string, std::less<>> asked_;
};

}  // namespace vljepa

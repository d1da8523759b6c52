#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "vljepa/event.hpp"

namespace vljepa {

namespace {

// A number to so many digits behind the point, without zeros at its end, whatever the program's locale. null for what is
// not finite; a zero has no sign.
std::string number(double value, int digits) {
    if (!std::isfinite(value)) return "null";
    std::array<char, 400> text{};
    std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    std::string found = text.data();
    const std::size_t point = found.find_first_not_of("-0123456789");
    if (point != std::string::npos) {
        found[point] = '.';
        found.resize(found.find_last_not_of('0') + 1);
        if (found.back() == '.') found += '0';
    }
    return found == "-0.0" ? "0.0" : found;
}

std::string quoted(const std::string& text) {
    std::string found = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            found += '\\';
            found += c;
        } else if (byte < 0x20 || byte == 0x7F) {
            std::array<char, 8> escape{};
            std::snprintf(escape.data(), escape.size(), "\\u%04x", byte);
            found += escape.data();
        } else {
            found += c;
        }
    }
    return found + '"';
}

}  // namespace

std::string Event::to_json() const {
    static const std::array<const char*, 7> kStatuses{"open", "closed", "appeared", "gone", "began", "ended", "stalled"};
    static const std::array<const char*, 3> kWordings{"specific", "general", "none"};
    std::string json = std::string("{\"status\": \"") + kStatuses[static_cast<std::size_t>(status)] + "\"";
    json += ", \"start\": " + number(start, 6);
    json += ", \"end\": " + (end ? number(*end, 6) : "null");
    json += ", \"decided_at\": " + number(decided_at, 6);
    json += ", \"text\": " + quoted(text);
    json += ", \"confidence\": " + (confidence ? number(*confidence, 4) : "null");
    json += std::string(", \"wording\": \"") + kWordings[static_cast<std::size_t>(wording)] + "\"";
    json += std::string(", \"reused\": ") + (reused ? "true" : "false");
    json += ", \"change\": " + number(change, 6);
    json += ", \"query\": " + quoted(query);
    return json + ", \"segment\": " + std::to_string(segment) + "}";
}

}  // namespace vljepa

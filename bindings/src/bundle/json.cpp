#include "bundle/json.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <locale>
#include <sstream>
#include <stdexcept>
#include <unordered_set>

namespace vljepa {

namespace {

constexpr int kDeepest = 32;
constexpr std::size_t kLongestInteger = 20;

class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    Json read() {
        Json value = any(0);
        space();
        if (at_ != text_.size()) fail("there is more behind the value");
        return value;
    }

  private:
    [[noreturn]] void fail(const std::string& what) const {
        throw std::runtime_error(what + " at byte " + std::to_string(at_));
    }

    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    void space() {
        while (at_ < text_.size() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) ++at_;
    }

    bool take(std::string_view word) {
        if (text_.substr(at_, word.size()) != word) return false;
        at_ += word.size();
        return true;
    }

    void expect(char wanted) {
        if (peek() != wanted) fail(std::string("expected '") + wanted + "'");
        ++at_;
    }

    Json any(int depth) {
        space();
        if (depth >= kDeepest && (peek() == '{' || peek() == '[')) fail("it is nested more than 32 levels deep");
        switch (peek()) {
            case '{': return object(depth);
            case '[': return list(depth);
            case '"': return Json(string());
            default: break;
        }
        if (take("true")) return Json(true);
        if (take("false")) return Json(false);
        if (take("null")) return Json();
        for (const char* word : {"NaN", "Infinity", "-Infinity"}) {
            if (take(word)) fail(std::string(word) + " is not a number in JSON");
        }
        return number();
    }

    Json object(int depth) {
        ++at_;
        Json::Object found;
        std::unordered_set<std::string> keys;
        space();
        if (peek() == '}') {
            ++at_;
            return Json(std::move(found));
        }
        while (true) {
            space();
            if (peek() != '"') fail("expected a key");
            std::string key = string();
            if (!keys.insert(key).second) fail("the key '" + key + "' occurs twice");
            space();
            expect(':');
            found.emplace_back(std::move(key), any(depth + 1));
            space();
            if (peek() != ',') break;
            ++at_;
        }
        expect('}');
        return Json(std::move(found));
    }

    Json list(int depth) {
        ++at_;
        Json::List found;
        space();
        if (peek() == ']') {
            ++at_;
            return Json(std::move(found));
        }
        while (true) {
            found.push_back(any(depth + 1));
            space();
            if (peek() != ',') break;
            ++at_;
        }
        expect(']');
        return Json(std::move(found));
    }

    std::size_t digits() {
        const std::size_t first = at_;
        while (peek() >= '0' && peek() <= '9') ++at_;
        return at_ - first;
    }

    Json number() {
        const std::size_t first = at_;
        if (peek() == '-') ++at_;
        const char leading = peek();
        const std::size_t leading_digits = digits();
        if (leading_digits == 0 || (leading == '0' && leading_digits > 1)) fail("expected a value");
        bool is_integer = true;
        if (peek() == '.') {
            is_integer = false;
            ++at_;
            if (digits() == 0) fail("expected a digit");
        }
        if (peek() == 'e' || peek() == 'E') {
            is_integer = false;
            ++at_;
            if (peek() == '+' || peek() == '-') ++at_;
            if (digits() == 0) fail("expected a digit");
        }
        const std::string text(text_.substr(first, at_ - first));
        if (is_integer) {
            std::int64_t value = 0;
            const auto done = std::from_chars(text.data(), text.data() + text.size(), value);
            if (done.ec != std::errc()) fail(text.substr(0, kLongestInteger) + " is too large for a number");
            return Json(value);
        }
        std::istringstream stream(text);
        stream.imbue(std::locale::classic());  // the decimal point of the program's locale may be a comma
        double value = 0.0;
        stream >> value;
        if (!std::isfinite(value) || std::abs(value) == std::numeric_limits<double>::max()) {
            fail(text.substr(0, kLongestInteger) + " is too large for a number");
        }
        return Json(value);
    }

    unsigned hex4() {
        unsigned value = 0;
        for (int i = 0; i < 4; ++i) {
            const char c = peek();
            unsigned digit = 0;
            if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
            else if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a' + 10);
            else if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A' + 10);
            else fail("expected four hexadecimal digits");
            value = value * 16 + digit;
            ++at_;
        }
        return value;
    }

    void escape(std::string& out) {
        ++at_;
        const char c = peek();
        ++at_;
        switch (c) {
            case '"': case '\\': case '/': out += c; return;
            case 'b': out += '\b'; return;
            case 'f': out += '\f'; return;
            case 'n': out += '\n'; return;
            case 'r': out += '\r'; return;
            case 't': out += '\t'; return;
            case 'u': break;
            default: --at_; fail("an unknown escape");
        }
        unsigned code = hex4();
        if (code >= 0xDC00 && code < 0xE000) fail("half of a character");
        if (code >= 0xD800 && code < 0xDC00) {
            if (!take("\\u")) fail("half of a character");
            const unsigned low = hex4();
            if (low < 0xDC00 || low >= 0xE000) fail("half of a character");
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        append(out, code);
    }

    static void append(std::string& out, unsigned code) {
        const auto byte = [&out](unsigned value) { out += static_cast<char>(value); };
        if (code < 0x80) {
            byte(code);
        } else if (code < 0x800) {
            byte(0xC0 | code >> 6);
            byte(0x80 | (code & 63));
        } else if (code < 0x10000) {
            byte(0xE0 | code >> 12);
            byte(0x80 | (code >> 6 & 63));
            byte(0x80 | (code & 63));
        } else {
            byte(0xF0 | code >> 18);
            byte(0x80 | (code >> 12 & 63));
            byte(0x80 | (code >> 6 & 63));
            byte(0x80 | (code & 63));
        }
    }

    // One character of several bytes: shortest form, no surrogates, at most U+10FFFF.
    void multibyte(std::string& out) {
        const auto lead = static_cast<unsigned char>(peek());
        const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
        if (lead < 0xC2 || lead > 0xF4) fail("it is not UTF-8");
        unsigned code = lead & (0x3Fu >> more);
        for (int i = 1; i <= more; ++i) {
            if (at_ + static_cast<std::size_t>(i) >= text_.size()) fail("it is not UTF-8");
            const auto next = static_cast<unsigned char>(text_[at_ + static_cast<std::size_t>(i)]);
            if ((next & 0xC0) != 0x80) fail("it is not UTF-8");
            code = code << 6 | (next & 63);
        }
        const unsigned least = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80;
        if (code < least || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) fail("it is not UTF-8");
        out.append(text_.substr(at_, static_cast<std::size_t>(more) + 1));
        at_ += static_cast<std::size_t>(more) + 1;
    }

    std::string string() {
        ++at_;
        std::string found;
        while (true) {
            if (at_ >= text_.size()) fail("a text does not end");
            const auto c = static_cast<unsigned char>(peek());
            if (c == '"') {
                ++at_;
                return found;
            }
            if (c == '\\') {
                escape(found);
            } else if (c < 0x20) {
                fail("a control character in a text");
            } else if (c < 0x80) {
                found += static_cast<char>(c);
                ++at_;
            } else {
                multibyte(found);
            }
        }
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

const Json* Json::find(std::string_view key) const {
    const Object* members = object();
    if (members == nullptr) return nullptr;
    for (const auto& [name, value] : *members) {
        if (name == key) return &value;
    }
    return nullptr;
}

std::string Json::shown() const {
    if (is_null()) return "null";
    if (const bool* value = boolean()) return *value ? "true" : "false";
    if (const std::int64_t* value = integer()) return std::to_string(*value);
    if (const double* value = real()) {
        std::ostringstream out;
        out.imbue(std::locale::classic());
        out << *value;
        return out.str();
    }
    if (const std::string* value = text()) return '"' + value->substr(0, 80) + '"';
    return list() != nullptr ? "a list" : "an object";
}

Json parse_json(std::string_view text) { return Reader(text).read(); }

}  // namespace vljepa

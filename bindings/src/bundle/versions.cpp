#include "bundle/versions.hpp"

#include <cctype>
#include <string>
#include <vector>

#include "bundle/fields.hpp"
#include "bundle/json.hpp"

namespace vljepa {

namespace {

// The numbers of a version, to compare: 0.9 of 0.9.0.
std::vector<long> numbers(const std::string& text) {
    std::vector<long> found;
    std::size_t at = 0;
    while (at < text.size()) {
        std::size_t used = 0;
        found.push_back(std::stol(text.substr(at), &used));
        at += used + 1;
    }
    while (!found.empty() && found.back() == 0) found.pop_back();
    return found;
}

// One to four numbers of at most nine digits, with points between them.
bool is_version(const std::string& text) {
    std::size_t digits = 0;
    std::size_t points = 0;
    for (const char c : text) {
        const bool is_digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
        if (!is_digit && (c != '.' || digits == 0 || ++points > 3)) return false;
        digits = is_digit ? digits + 1 : 0;
        if (digits > 9) return false;
    }
    return digits > 0;
}

}  // namespace

void check_version(const Json& manifest) {
    const Json* needs = manifest.find("needs");
    const std::string newer = "; install a newer libvljepa";
    if (needs != nullptr && !needs->is_null()) {
        const std::string* text = needs->text();
        if (text == nullptr || !is_version(*text)) {
            refuse("needs", "must be a version like \"1.2.0\", got " + needs->shown());
        }
        if (numbers(*text) > numbers(kReads)) {
            refuse("", "needs vljepa-edge " + *text + " or later, this reads bundles of " + kReads + newer);
        }
    }
    const Json* schema = manifest.find("schema");
    if (schema == nullptr) return;
    const std::string shown = schema->text() != nullptr ? *schema->text() : schema->shown();
    if (is_version(shown) && numbers(shown) > std::vector<long>{kSchema}) {
        refuse("", std::string("needs vljepa-edge later than ") + kReads + ": it has schema " + shown +
                       ", this version reads " + std::to_string(kSchema) + newer);
    }
}

}  // namespace vljepa

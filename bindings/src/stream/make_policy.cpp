#include <cmath>
#include <limits>
#include <locale>
#include <sstream>

#include "vljepa/error.hpp"
#include "vljepa/stream.hpp"

namespace vljepa {

namespace {

constexpr double kDay = 86400.0;
constexpr double kEndless = std::numeric_limits<double>::infinity();

// A key of a policy: its value, and the numbers that are allowed.
struct Key {
    const char* name;
    double value;
    double low;
    double high;
    bool is_above = false;    // `low` itself isn't allowed
    bool is_whole = false;    // hops rather than seconds or a score
    bool can_be_inf = false;

    std::string allowed() const {
        std::ostringstream out;
        out.imbue(std::locale::classic());
        out << (is_whole ? "an integer, " : "a number, ");
        if (is_above) out << "above " << low << " and at most " << high;
        else out << low << " to " << high;
        out << (can_be_inf ? ", or inf" : "");
        return out.str();
    }

    bool read(const std::string& text) {
        double number = kEndless;
        if (text != "inf") {
            std::istringstream in(text);
            in.imbue(std::locale::classic());
            if (!(in >> number) || in.peek() != std::istringstream::traits_type::eof()) return false;
            if (is_whole && text.find_first_of(".eE") != std::string::npos) return false;
        }
        const bool is_within = (is_above ? low < number : low <= number) && number <= high;
        if (!is_within && !(can_be_inf && number == kEndless)) return false;
        value = number;
        return true;
    }
};

struct Named {
    const char* name;
    std::vector<Key> keys;
};

std::vector<Named> policies() {
    return {
        {"uniform", {{"period", 1.0, 0.0, kDay, true}}},
        {"local-variance",
         {{"threshold", 0.15, 0.0, 1.0, true},
          {"window", 8, 2, 1024, false, true},
          {"smooth", 2, 1, 1024, false, true},
          {"min_duration", 0.5, 0.0, kDay}}},
        {"running-ward",
         {{"threshold", 0.3, 0.0, 4.0, true},
          {"smooth", 1, 1, 1024, false, true},
          {"min_duration", 0.5, 0.0, kDay},
          {"max_duration", kEndless, 0.0, kDay, true, false, true},
          {"back", 1.0, 0.0, 1.0, true}}},
        {"budget",
         {{"per_minute", 6.0, 0.0, 6000.0, true},
          {"burst", 3, 1, 1024, false, true},
          {"least", 0.1, 0.0, 2.0, true},
          {"smooth", 1, 1, 1024, false, true},
          {"min_duration", 0.5, 0.0, kDay},
          {"back", 1.0, 0.0, 1.0, true}}},
    };
}

std::string stripped(const std::string& text) {
    const std::size_t first = text.find_first_not_of(" \t\n\r");
    return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t\n\r") - first + 1);
}

std::vector<Key> read(const std::string& text, std::string& name) {
    const std::string given_text = stripped(text);
    const std::size_t colon = given_text.find(':');
    name = stripped(given_text.substr(0, colon));
    std::string known;
    std::vector<Key> keys;
    for (Named& policy : policies()) {
        known += (known.empty() ? "" : ", ") + std::string(policy.name);
        if (name == policy.name) keys = std::move(policy.keys);
    }
    if (keys.empty()) {
        throw InputError("policy must be one of " + known + ", e.g. running-ward:threshold=0.3, got \"" + name + "\"");
    }
    const std::string settings = colon == std::string::npos ? "" : given_text.substr(colon + 1);
    if (stripped(settings).empty()) return keys;
    std::vector<bool> given(keys.size());
    std::istringstream parts(settings + ",");
    for (std::string setting; std::getline(parts, setting, ',');) {
        const std::size_t equals = setting.find('=');
        const std::string key = stripped(setting.substr(0, equals));
        const std::string value = equals == std::string::npos ? "" : stripped(setting.substr(equals + 1));
        std::size_t place = 0;
        std::string names;
        for (std::size_t i = 0; i < keys.size(); ++i) names += (i == 0 ? "" : ", ") + std::string(keys[i].name);
        while (place < keys.size() && key != keys[place].name) ++place;
        if (place == keys.size()) {
            throw InputError(name + ": a key must be one of " + names + ", each as key=value, got \"" + key + "\"");
        }
        if (given[place]) throw InputError(name + ": " + key + " is given twice; give it once");
        given[place] = true;
        if (!keys[place].read(value)) {
            throw InputError(name + ": " + key + " must be " + keys[place].allowed() + ", got \"" + value + "\"");
        }
    }
    return keys;
}

}  // namespace

std::unique_ptr<Policy> make_policy(const std::string& text, std::size_t width) {
    std::string name;
    const std::vector<Key> keys = read(text, name);
    const auto hops = [&](std::size_t i) { return static_cast<std::size_t>(keys[i].value); };
    if (name == "uniform") return std::make_unique<Uniform>(width, keys[0].value);
    if (name == "local-variance") {
        return std::make_unique<LocalVariance>(
            width, LocalVarianceOptions{keys[0].value, hops(1), hops(2), keys[3].value});
    }
    if (name == "budget") {
        return std::make_unique<Budget>(
            width, BudgetOptions{keys[0].value, hops(1), keys[2].value, hops(3), keys[4].value, keys[5].value});
    }
    return std::make_unique<RunningWard>(
        width, RunningWardOptions{keys[0].value, hops(1), keys[2].value, keys[3].value, keys[4].value});
}

}  // namespace vljepa

#include "engine/ports.hpp"

#include <algorithm>

#include "vljepa/error.hpp"

namespace vljepa {

bool is_static(const Shape& shape) {
    return std::all_of(shape.begin(), shape.end(), [](std::int64_t size) { return size >= 0; });
}

const Input& checked(const std::string& graph, const Port& port, const std::vector<Input>& inputs) {
    const auto given = std::find_if(inputs.begin(), inputs.end(), [&](const Input& i) { return i.name == port.name; });
    if (given == inputs.end()) {
        throw EngineError(graph + ": input " + port.name + " is missing; expected " + describe(port.type, port.shape));
    }
    bool fits = given->type == port.type && given->shape.size() == port.shape.size();
    for (std::size_t i = 0; fits && i < port.shape.size(); ++i) {
        fits = port.shape[i] < 0 || port.shape[i] == given->shape[i];
    }
    if (!fits) {
        throw EngineError(graph + ": input " + port.name + " is " + describe(given->type, given->shape) + "; expected " +
                          describe(port.type, port.shape));
    }
    return *given;
}

std::string one_line(const char* message) {
    std::string found;
    std::string line;
    for (const char* c = message;; ++c) {
        if (*c != '\n' && *c != '\0') {
            line += *c;
            continue;
        }
        const bool is_place = line.rfind("Exception from", 0) == 0 || line.rfind("Check 'false' failed", 0) == 0;
        if (!line.empty() && !is_place) found += (found.empty() ? "" : " ") + line;
        line.clear();
        if (*c == '\0') return found.substr(0, 600);
    }
}

}  // namespace vljepa

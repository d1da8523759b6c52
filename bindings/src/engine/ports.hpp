#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "vljepa/engine.hpp"

namespace vljepa {

/// An input or output of a compiled graph.
struct Port {
    std::string name;
    DataType type;
    Shape shape;  // -1 where free
};

bool is_static(const Shape& shape);

/// What is given for a port. Throws EngineError, with the graph's name, where it is missing or of another type or shape.
const Input& checked(const std::string& graph, const Port& port, const std::vector<Input>& inputs);

/// An engine's message on one line, without the lines that only say where in its source it was thrown.
std::string one_line(const char* message);

}  // namespace vljepa

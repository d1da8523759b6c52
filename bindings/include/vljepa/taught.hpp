#pragma once

#include <string>
#include <vector>

#include "vljepa/head.hpp"

namespace vljepa {

/// The events that a user has taught, as `vljepa teach` writes them; see Model::read_head(). Of the labels of its file
/// "nothing" and "background" are left out: they are never reported.
struct TaughtHead {
    std::vector<std::string> events;
    Head head;         // a row for each event
    double threshold;  // the probability from which on an event counts
};

}  // namespace vljepa

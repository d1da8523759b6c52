#pragma once

#include "vljepa/manifest.hpp"
#include "vljepa/stream.hpp"

namespace vljepa {

/// StreamOptions on one model: nothing is left open, and `hop` is a multiple of the time between two frames.
struct FilledOptions {
    double hop;
    double gap;
    std::size_t queue;
    double max_staleness;
    double max_idle;
    double still;
    double reuse;
    bool decodes_open;
    bool decodes_closed;
};

/// Throws InputError, naming the option, for what is not allowed on this model.
FilledOptions filled(const StreamOptions& options, const VideoEntry& video);

}  // namespace vljepa

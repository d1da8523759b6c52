#include "stream/options.hpp"

#include <algorithm>
#include <cmath>

#include "bundle/json.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

constexpr int kLongestQueue = 1'000'000;

std::string shown(double value) { return Json(value).shown(); }

void require(bool holds, const char* name, const std::string& allowed, double got) {
    if (!holds) throw InputError(std::string(name) + " must be " + allowed + ", got " + shown(got));
}

}  // namespace

FilledOptions filled(const StreamOptions& options, const VideoEntry& video) {
    const double period = 1.0 / video.fps;
    const std::string at_rate = " seconds; frames of this model are " + shown(period) + " s apart";
    const double hop = options.hop.value_or(video.hop / video.fps);
    const double gap = options.gap.value_or(std::max(2.0, video.window / video.fps));
    const int queue = options.queue.value_or(std::clamp(video.window, 1, kLongestQueue));
    require(std::isfinite(hop) && hop >= period * (1.0 - 1e-6), "hop", "at least " + shown(period) + at_rate, hop);
    require(gap > period, "gap", "more than " + shown(period) + at_rate, gap);
    require(options.max_idle >= 0.0, "max_idle", "a number of seconds, at least 0, or inf for no bound", options.max_idle);
    require(options.still >= 0.0 && options.still <= 255.0, "still", "a number of levels, 0 to 255", options.still);
    require(options.reuse >= 0.0 && options.reuse <= 1.0, "reuse", "a number from 0 to 1", options.reuse);
    require(options.max_staleness > 0.0, "max_staleness", "a number of seconds above 0, or inf for no bound",
            options.max_staleness);
    if (queue < 1 || queue > kLongestQueue) {
        throw InputError("queue must be a number of frames, at least 1 and at most " + std::to_string(kLongestQueue) +
                         ", got " + std::to_string(queue));
    }
    FilledOptions found{};
    found.hop = std::nearbyint(hop * video.fps) * period;
    found.gap = gap;
    found.queue = static_cast<std::size_t>(queue);
    found.max_staleness = options.max_staleness;
    found.max_idle = options.max_idle;
    found.still = options.still;
    found.reuse = options.reuse;
    found.decodes_open = options.decode == Decode::open || options.decode == Decode::both;
    found.decodes_closed = options.decode == Decode::closed || options.decode == Decode::both;
    return found;
}

}  // namespace vljepa

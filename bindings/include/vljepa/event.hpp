#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vljepa/model.hpp"

namespace vljepa {

/// A segment opened or closed; a label that is watched for appeared or is gone; a taught event began or ended; frames
/// stopped coming.
enum class Status { open, closed, appeared, gone, began, ended, stalled };

/// What a stream tells. Times are seconds on the clock of the frames.
///
/// Of a label, `text` is the label, `segment` counts its sightings from 0, `query` and `embedding` are what was asked and
/// predicted, `confidence` is the largest probability so far, and `change` is 0. A taught event is told of in the same way,
/// with an empty query and an embedding of zeros. A stall has no text and no query, and segment -1: it starts with the last
/// frame, and was decided the seconds of silence later.
struct Event {
    Status status = Status::open;
    double start = 0.0;
    std::optional<double> end;  // nothing while it is open, or seen
    double decided_at = 0.0;    // the time of the newest frame when it was decided
    std::string text;
    std::vector<float> embedding;  // unit norm: what `text` is decoded from
    double change = 0.0;           // how much changed at the cut, by the policy's own measure
    std::string query;
    std::int64_t segment = 0;  // counts the segments of a query from 0
    std::optional<double> confidence;
    Wording wording = Wording::none;
    bool reused = false;      // the text was decoded before, of an embedding near this one
    double latency_ms = 0.0;  // from push() to here

    /// One line of JSON with the keys of `vljepa stream --json`, but type and latencies.
    std::string to_json() const;
};

}  // namespace vljepa

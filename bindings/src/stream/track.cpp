#include "stream/track.hpp"

namespace vljepa {

std::vector<Cut> Track::push(double time, double since) {
    const std::vector<float>& embedding = prediction_.embedding;
    Decision decision = policy_->push(embedding.data(), embedding.size(), time, segments_.told(time, since));
    std::vector<Cut> cuts;
    for (const Span& span : segments_.push(time, decision.closed.has_value(), decision.opened, decision.since, decision.start)) {
        cuts.push_back({span.segment, span.start, span.end, span.end ? std::move(decision.closed->mean) : embedding, decision.score});
    }
    return cuts;
}

std::vector<Cut> Track::end(double time) {
    Decision decision = policy_->flush(time);
    policy_->reset();
    std::vector<Cut> cuts;
    if (const auto span = segments_.end(time, decision.closed.has_value())) {
        cuts.push_back({span->segment, span->start, span->end, std::move(decision.closed->mean), 0.0});
    }
    return cuts;
}

void Track::reset() {
    sayings.clear();
    policy_->reset();
    segments_.reset();
}

}  // namespace vljepa

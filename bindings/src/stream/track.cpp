#include "stream/track.hpp"

#include <algorithm>

namespace vljepa {

std::vector<Cut> Track::push(double time, double since) {
    const std::vector<float>& embedding = prediction_.embedding;
    const double earliest = earliest_.value_or(time);
    Decision decision = policy_->push(embedding.data(), embedding.size(), time, std::max(since, earliest));
    const double before = hop_;
    earliest_ = earliest;
    hop_ = time;
    double boundary = earliest;
    // A segment that starts with the newest frame has a length, too.
    if (start_) boundary = std::min((decision.since + decision.start) / 2.0, (before + time) / 2.0);
    std::vector<Cut> cuts;
    if (decision.closed && start_) cuts.push_back(close(boundary, std::move(decision.closed->mean), decision.score));
    if (decision.opened) {
        ++segment_;
        start_ = boundary;
        cuts.push_back({segment_, boundary, std::nullopt, embedding, decision.score});
    }
    return cuts;
}

std::vector<Cut> Track::end(double time) {
    Decision decision = policy_->flush(time);
    policy_->reset();
    std::vector<Cut> cuts;
    if (decision.closed && start_) {
        cuts.push_back(close(std::max(time, *start_), std::move(decision.closed->mean), 0.0));
        earliest_ = time;
    }
    return cuts;
}

void Track::reset() {
    sayings.clear();
    policy_->reset();
    segment_ = -1;
    start_.reset();
    earliest_.reset();
}

Cut Track::close(double end, std::vector<float> mean, double change) {
    Cut cut{segment_, *start_, end, std::move(mean), change};
    start_.reset();
    return cut;
}

}  // namespace vljepa

#pragma once

#include <optional>
#include <vector>

#include "core/said.hpp"
#include "vljepa/model.hpp"

namespace vljepa {

/// The texts of one query that were decoded, to be used again near their embeddings; see Said.
class Sayings {
  public:
    /// `radius` 0: none is kept.
    explicit Sayings(double radius) : places_(radius), texts_(radius > 0.0 ? Said::kKept : 0) {}

    std::optional<Words> find(const std::vector<float>& embedding, bool is_mean) {
        const auto place = places_.find(embedding.data(), embedding.size(), is_mean);
        return place ? std::optional(texts_[*place]) : std::nullopt;
    }

    void keep(const std::vector<float>& embedding, bool is_mean, const Words& words) {
        if (!texts_.empty()) texts_[places_.keep(embedding.data(), embedding.size(), is_mean)] = words;
    }

    void clear() { places_.clear(); }

  private:
    Said places_;
    std::vector<Words> texts_;
};

}  // namespace vljepa

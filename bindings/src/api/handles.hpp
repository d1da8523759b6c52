#pragma once

#include <memory>
#include <string>

#include "vljepa.h"
#include "vljepa/labels.hpp"
#include "vljepa/model.hpp"
#include "vljepa/stream.hpp"
#include "vljepa/taught.hpp"

struct vljepa_model {
    std::shared_ptr<const vljepa::Model> model;
};

struct vljepa_query {
    vljepa::Query query;
};

struct vljepa_labels {
    std::shared_ptr<const vljepa::Labels> labels;
};

struct vljepa_head {
    std::shared_ptr<const vljepa::TaughtHead> head;
};

struct vljepa_stream {
    vljepa::Stream stream;
};

struct vljepa_event {
    explicit vljepa_event(vljepa::Event told) : event(std::move(told)), json(event.to_json()) {}

    vljepa::Event event;
    std::string json;
};

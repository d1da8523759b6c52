#pragma once

#include <deque>
#include <memory>
#include <string>

#include "vljepa.h"
#include "vljepa/model.hpp"
#include "vljepa/stream.hpp"

struct vljepa_model {
    std::shared_ptr<const vljepa::Model> model;
};

struct vljepa_stream {
    vljepa::Stream stream;
    std::deque<vljepa::Event> events;
};

struct vljepa_event {
    vljepa::Event event;
    std::string json;
};

// CXXRTL's side of the harness: how a pin is read and written, and how half a cycle is run.

#include "Vchip.h"
#ifdef WAVES
#include <cxxrtl/cxxrtl_vcd.h>
#include <fstream>
#endif

namespace {

template <std::size_t bits>
void put(cxxrtl::value<bits>& pin, uint32_t value) {
    pin.data[0] = value;
}

template <std::size_t bits>
uint32_t word_of(const cxxrtl::value<bits>& pin, uint32_t index) {
    return pin.data[index];
}

template <std::size_t bits>
uint32_t word_of(const cxxrtl::wire<bits>& pin, uint32_t index) {
    return pin.curr.data[index];
}

template <class Pin>
uint32_t low_word(const Pin& pin) {
    return word_of(pin, 0);
}

class Simulation {
  public:
    CHIP pins;
    bool recording = false;

    Simulation(uint64_t, [[maybe_unused]] const char* waves) {
#ifdef WAVES
        cxxrtl::debug_items items;
        pins.debug_info(&items, nullptr, "");
        recorder.timescale(1, "ns");
        recorder.add_without_memories(items);
        file.open(waves);
#else
        settles_at_once = pins.eval();
#endif
    }

    // Where outputs settle in one evaluation, the same evaluation finds the next state, which
    // `commit` makes the present one at the edge: half the work of evaluating each half.
    void low() {
        if (settles_at_once) {
            pins.prev_p_clk.data[0] = 0;
            pins.p_clk.data[0] = 1;
            pins.eval();
        } else {
            run(0);
        }
    }

    void high() {
        if (settles_at_once) {
            pins.commit();
        } else {
            run(1);
        }
    }

  private:
    bool settles_at_once = false;
#ifdef WAVES
    cxxrtl::vcd_writer recorder;
    std::ofstream file;
    uint64_t time = 0;
#endif

    void run(uint32_t clock) {
        pins.p_clk.data[0] = clock;
        pins.step();
#ifdef WAVES
        if (recording) {
            recorder.sample(time);
            file << recorder.buffer;
            recorder.buffer.clear();
        }
        time += 5;
#endif
    }
};

}  // namespace

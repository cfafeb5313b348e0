// SPDX-License-Identifier: MIT
//
// What nearly every test includes, for the compiler to read once and not a hundred times. Tests include
// what they use all the same: `./dev check` compiles them without this.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

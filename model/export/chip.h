/* A chip in C: see chip.c; its numbers are in model.h. */
#ifndef CHIP_H
#define CHIP_H

#include <stdint.h>

/* One convolution: `count` kernels of `size` x `size` over `channels`, (K, C, R, R) codes. */
typedef struct {
    int channels, height, width, count, size, padding, pool, average;
    int inhibition; /* shift, or -1 for none */
    int shift, top;
    const int8_t *kernels;
} chip_conv;

/* One fully-connected layer: (inputs, outputs) codes, in the readout the bias row behind them. */
typedef struct {
    int inputs, outputs, shift, sign;
    const int16_t *weights;
} chip_layer;

/* Class of an image of CHIP_PIXELS levels 0..255, (H, W, C); `scores` (one a class) may be NULL. */
int chip_classify(const uint8_t *pixels, uint8_t *scores);

#endif

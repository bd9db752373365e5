import { Module } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { NumbersIntake } from './numbers-intake.js';
import { SampledNumbers } from './release-numbers.js';

/** What replicas have counted of each release. */
@Module({
  providers: [
    {
      provide: SampledNumbers,
      inject: [getDataSourceToken()],
      useFactory: (source: DataSource) => new SampledNumbers((sql, parameters) => source.query(sql, parameters)),
    },
    NumbersIntake,
  ],
  exports: [SampledNumbers, NumbersIntake],
})
export class ReleaseNumbersModule {}

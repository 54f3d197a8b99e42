"""What became of the days that were scored: drift, data quality, volume, realised performance, alerts.

Everything here is a function of what stands published: the partitions, the profiles of the versions that scored
them, the outcomes that have arrived. Nothing depends on which day was looked at first, so a backfill gives the
numbers that daily runs would have given.
"""

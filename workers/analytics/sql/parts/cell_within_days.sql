    hour >= cast(:first_moment as timestamptz) and hour < cast(:until_moment as timestamptz)

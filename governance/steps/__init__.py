"""Where the gates stand in a pipeline of this project; what they measure and judge is the platform's."""
